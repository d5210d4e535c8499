package preflight

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// capabilities that a lab needs, by their numbers in the kernel.
var capabilities = map[string]uint{
	"CAP_DAC_OVERRIDE": 1, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13,
	"CAP_SYS_CHROOT": 18, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_MKNOD": 27,
}

const rightsCure = "run it with sudo, in a privileged container (docker run --privileged), or in a VM: nodes are made of Linux namespaces"

func checkRights() []Finding {
	if os.Geteuid() != 0 {
		return []Finding{{Problem: fmt.Sprintf("not run by root but by user %d", os.Geteuid()), Cure: rightsCure}}
	}
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return []Finding{{Problem: "no /proc: " + err.Error(), Cure: "mount it: mount -t proc proc /proc"}} //nolint:dupword // as mount wants it
	}
	defer func() { _ = status.Close() }()
	lines := bufio.NewScanner(status)
	for lines.Scan() {
		if text, found := strings.CutPrefix(lines.Text(), "CapEff:"); found {
			return lacking(strings.TrimSpace(text))
		}
	}
	return nil
}

// lacking capabilities in a mask as /proc/PID/status has it.
func lacking(mask string) []Finding {
	has, err := strconv.ParseUint(mask, 16, 64)
	if err != nil {
		return nil
	}
	var missing []string
	for _, name := range sortedKeys(capabilities) {
		if has&(1<<capabilities[name]) == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return []Finding{{Problem: "root without " + strings.Join(missing, ", "), Cure: rightsCure}}
}

// programs that nodes use of the machine, by the Debian packages that have them.
var programs = map[string]string{"nft": "nftables", "mount": "mount", "umount": "mount"}

func checkPrograms() []Finding {
	var findings []Finding
	for _, name := range sortedKeys(programs) {
		if _, err := lookUp(name); err != nil {
			findings = append(findings, Finding{
				Problem: "no program " + name, Cure: "install the package " + programs[name], Package: programs[name],
			})
		}
	}
	return findings
}

// lookUp a program where Debian has such, too: not everybody's PATH has them.
func lookUp(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path, nil
		}
	}
	return "", err
}
