package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnotherNameOfTheModuleNeedsItsBundle(t *testing.T) {
	var usage usageError
	if err := (upFlags{moduleName: "istio-alliance"}).checkModule(); !errors.As(err, &usage) || !strings.Contains(err.Error(), "--bundle") {
		t.Errorf("without --bundle the error is %v", err)
	}
	for _, flags := range []upFlags{{moduleName: "istio"}, {moduleName: "istio", bundle: true}, {moduleName: "istio-alliance", bundle: true}} {
		if err := flags.checkModule(); err != nil {
			t.Errorf("%s, bundle: %t: %v", flags.moduleName, flags.bundle, err)
		}
	}
}

func TestABundleIsTakenFromWhereMakeLeavesIt(t *testing.T) {
	for name, wanted := range map[string]struct{ folder, command string }{
		"istio":          {"bundle", "`make bundle`"},
		"istio-alliance": {"bundle-istio-alliance", "`make bundle MODULE=istio-alliance`"},
	} {
		root, flags := t.TempDir(), upFlags{moduleName: name, bundle: true}
		if _, err := flags.bundledImages(root); err == nil || !strings.Contains(err.Error(), wanted.command) {
			t.Errorf("without a bundle of %s the error is %v", name, err)
		}
		images := filepath.Join(root, ".cache", wanted.folder, "images")
		if err := errors.Join(os.MkdirAll(images, 0o755), os.WriteFile(filepath.Join(images, "index.json"), nil, 0o644)); err != nil {
			t.Fatal(err)
		}
		if found, err := flags.bundledImages(root); err != nil || found != images {
			t.Errorf("the bundle of %s is taken from %s: %v", name, found, err)
		}
	}
}
