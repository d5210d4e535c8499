package moduleconfig

import (
	"context"
	"log/slog"
	"time"

	"github.com/flant/addon-operator/pkg/kube_config_manager/config"
)

// remind checks until ctx ends that announced settings are in force. addon-operator resets
// a module's settings when it has finished switching it off; a person who
// switches it on again before that would get it with the defaults, for good.
//
// It also calls changed with each module whose outcome has changed.
func (b *Backend) remind(ctx context.Context, events chan config.Event, changed func(name string)) {
	ticker := time.NewTicker(b.RemindInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, name := range b.lookOnce(ctx, events) {
				changed(name)
			}
		}
	}
}

// lookOnce announces again what a module has been running without for two looks in a row; once is the
// time it takes to apply settings. It returns the modules whose outcome has changed.
func (b *Backend) lookOnce(ctx context.Context, events chan config.Event) (changed []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name := range b.Schemas {
		if name == GlobalName {
			continue
		}
		differs, overdue := b.differs(name), b.overdue[name]
		b.overdue[name] = differs && !overdue
		if differs && overdue {
			b.reminded[name]++
			b.Logger.Warn("the module runs with other settings than those in its ModuleConfig, they are applied again", slog.String("name", name))
			b.announce(ctx, events, name)
		}
		if b.look(name) {
			changed = append(changed, name)
		}
	}
	return changed
}

// differs is true for a module that runs with other settings than those announced.
func (b *Backend) differs(name string) bool {
	inForce, running := b.InForce(name)
	if !running {
		return false
	}
	effective, announced := b.announced[name]
	if !announced || len(inForce) == 0 && len(effective.Settings) == 0 {
		return false
	}
	wanted := effective.moduleConfig(name)
	return inForce.Checksum() != wanted.GetValues().Checksum()
}
