package preflight

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/prometheus/procfs"
)

// What a lab takes, measured with the module, a mesh and some Pods; below that
// things end in the middle, with errors that do not name the reason.
const (
	mebibyte = 1 << 20
	// memory of the lab itself, of a cluster's first node with all that runs on it, and of each further node.
	memoryLab, memoryCluster, memoryNode = 200 * mebibyte, 1200 * mebibyte, 250 * mebibyte
	// disk of a cluster's first node, with the images of the mesh unpacked, and of each further node.
	diskCluster, diskNode = 1500 * mebibyte, 800 * mebibyte
)

func checkRoom(needs Needs) []Finding {
	var findings []Finding
	further := needs.Clusters * (needs.Nodes - 1)
	memory := int64(memoryLab + needs.Clusters*memoryCluster + further*memoryNode)
	if available, err := availableMemory(); err == nil && available < memory {
		findings = append(findings, Finding{
			Problem: fmt.Sprintf("%s of memory are available, and a lab of this size needs %s", inMebibytes(available), inMebibytes(memory)),
			Cure:    "end other programs, or start fewer clusters or nodes",
		})
	}
	disk := int64(needs.Clusters*diskCluster + further*diskNode)
	var filesystem syscall.Statfs_t
	if err := syscall.Statfs(needs.StateDir, &filesystem); err == nil {
		if free := int64(filesystem.Bavail) * filesystem.Bsize; free < disk {
			findings = append(findings, Finding{
				Problem: fmt.Sprintf("%s are free below %s, and a lab of this size needs %s", inMebibytes(free), needs.StateDir, inMebibytes(disk)),
				Cure:    "make room, or name a folder on another disk with --state-dir",
			})
		}
	}
	return findings
}

func inMebibytes(bytes int64) string { return fmt.Sprintf("%d MiB", bytes/mebibyte) }

// availableMemory is what programs can have without swapping.
func availableMemory() (int64, error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, err
	}
	memory, err := proc.Meminfo()
	if err != nil || memory.MemAvailableBytes == nil {
		return 0, errors.Join(err, errors.New("MemAvailable is missing"))
	}
	return int64(*memory.MemAvailableBytes), nil
}
