package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine says what the figures were measured on.
type machine struct {
	cpu, memory, kernel, goVersion, redis, freeradius, load string
	cores, files                                            int
}

func describeMachine(ctx context.Context) machine {
	return machine{
		cpu: field("/proc/cpuinfo", "model name"), cores: runtime.NumCPU(), memory: field("/proc/meminfo", "MemTotal"),
		kernel: firstLine("/proc/sys/kernel/osrelease"), goVersion: runtime.Version(), load: firstLine("/proc/loadavg"),
		redis: said(ctx, "redis-server", "--version"), freeradius: said(ctx, "/usr/sbin/freeradius", "-v"), files: openFiles(),
	}
}

func (m machine) markdown() string {
	memory := m.memory
	var kb float64
	if _, err := fmt.Sscanf(m.memory, "%f kB", &kb); err == nil {
		memory = fmt.Sprintf("%.0f GiB", kb/(1<<20))
	}
	return fmt.Sprintf("Machine: %s, %d cores, %s memory, at most %s open files in a process; Linux %s; %s; %s; %s; load average at the start %s.\n",
		m.cpu, m.cores, memory, count(m.files), m.kernel, m.goVersion, m.redis, m.freeradius, m.load)
}

// field reads the first "key : value" of a file of /proc.
func field(file, key string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// said is the start of what a program says of itself, without details of its build.
func said(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return program + " missing"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	line, _, _ = strings.Cut(line, ", for host")
	line, _, _ = strings.Cut(line, " sha=")
	return strings.TrimSpace(line)
}
