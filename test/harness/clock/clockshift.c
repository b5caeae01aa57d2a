/* Preloaded into a program: its wall clock is off by the nanoseconds that stand, as one 64-bit number, in
 * the file $CLOCK_SHIFT_FILE, whenever it looks. Clocks that only measure are left alone.
 *
 * Programs of libc get their functions replaced. Go asks no libc: it looks __vdso_clock_gettime up in the
 * object that the kernel maps into every process, once, when it starts. So it is shown a copy of that
 * object in which this one symbol leads here. */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;

static void die(const char *why)
{
	fprintf(stderr, "clockshift: %s\n", why);
	_exit(127);
}

/* Without libc, whose errno a thread of Go does not have. */
static long ask_kernel(clockid_t id, struct timespec *t)
{
#if defined(__x86_64__)
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "0"((long)SYS_clock_gettime), "D"((long)id), "S"(t)
			 : "rcx", "r11", "memory");
	return r;
#elif defined(__aarch64__)
	register long nr __asm__("x8") = SYS_clock_gettime;
	register long r __asm__("x0") = id;
	register struct timespec *to __asm__("x1") = t;
	__asm__ volatile("svc 0" : "+r"(r) : "r"(nr), "r"(to) : "memory");
	return r;
#else
#error "clockshift knows x86-64 and arm64"
#endif
}

static long shifted(clockid_t id, struct timespec *t)
{
	long r = ask_kernel(id, t);

	if (r == 0 && shift && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
		int64_t ns = t->tv_nsec + *shift % 1000000000;
		t->tv_sec += *shift / 1000000000;
		if (ns < 0)
			t->tv_sec--, ns += 1000000000;
		else if (ns >= 1000000000)
			t->tv_sec++, ns -= 1000000000;
		t->tv_nsec = ns;
	}
	return r;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	return shifted(id, t) == 0 ? 0 : -1;
}

int gettimeofday(struct timeval *v, void *zone)
{
	struct timespec t;

	(void)zone;
	if (shifted(CLOCK_REALTIME, &t) != 0)
		return -1;
	v->tv_sec = t.tv_sec;
	v->tv_usec = t.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec t;

	if (shifted(CLOCK_REALTIME, &t) != 0)
		return -1;
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

/* copy_vdso returns where a copy of the kernel's object is in which time leads here. */
static ElfW(Addr) copy_vdso(const char *vdso)
{
	const ElfW(Ehdr) *eh = (const void *)vdso;
	const ElfW(Phdr) *ph = (const void *)(vdso + eh->e_phoff);
	ElfW(Addr) first = 0, symtab = 0, strtab = 0;
	const ElfW(Dyn) *dyn = NULL;
	size_t size = 0;
	int found = 0;

	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && size == 0) {
			first = ph[i].p_vaddr - ph[i].p_offset;
			size = ph[i].p_offset + ph[i].p_memsz;
		}
		if (ph[i].p_type == PT_DYNAMIC)
			dyn = (const void *)(vdso + ph[i].p_offset);
	}
	if (!dyn || !size)
		die("the kernel's object is not as expected");
	for (; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_SYMTAB)
			symtab = dyn->d_un.d_ptr - first;
		if (dyn->d_tag == DT_STRTAB)
			strtab = dyn->d_un.d_ptr - first;
	}
	char *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copy == MAP_FAILED || symtab == 0 || strtab <= symtab || strtab >= size)
		die("cannot copy the kernel's object");
	memcpy(copy, vdso, size);
	/* Its names follow its symbols. The code stays in the original, whose data lie beside it. */
	for (ElfW(Sym) *s = (void *)(copy + symtab); (char *)(s + 1) <= copy + strtab; s++) {
		const char *name = copy + strtab + s->st_name;
		ElfW(Addr) at = (ElfW(Addr))vdso - first + s->st_value;

		if (s->st_shndx == SHN_UNDEF)
			continue;
		if (!strcmp(name, "__vdso_clock_gettime") || !strcmp(name, "__kernel_clock_gettime")) {
			at = (ElfW(Addr))shifted;
			found = 1;
		}
		s->st_value = at - ((ElfW(Addr))copy - first);
	}
	if (!found)
		die("the kernel's object has no clock_gettime");
	return (ElfW(Addr))copy;
}

__attribute__((constructor)) static void begin(int argc, char **argv, char **envp)
{
	const char *name = getenv("CLOCK_SHIFT_FILE");
	int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0);

	(void)argc;
	(void)argv;
	if (at == MAP_FAILED)
		die("cannot map $CLOCK_SHIFT_FILE");
	close(fd);
	shift = at;
	while (*envp)
		envp++;
	for (ElfW(auxv_t) *a = (void *)(envp + 1); a->a_type != AT_NULL; a++)
		if (a->a_type == AT_SYSINFO_EHDR)
			a->a_un.a_val = copy_vdso((const char *)a->a_un.a_val);
}
