package radius

import (
	"log/slog"
	"net"
	"syscall"
)

// growBuffer asks for a receive buffer of size octets. The system may give less without saying so.
func growBuffer(c *net.UDPConn, size int, log *slog.Logger) {
	err := c.SetReadBuffer(size)
	if got := receiveBufferOf(c); err != nil || got < size {
		log.Warn("RADIUS receive buffer is smaller than asked for", "octets", got, "asked", size,
			"cause", "limit of the system", "cure", "sysctl -w net.core.rmem_max=4194304", "err", err)
	}
}

func receiveBufferOf(c *net.UDPConn) (size int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		size, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
	})
	return size
}
