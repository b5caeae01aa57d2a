package login

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/policy"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// DeviceApps is what devices say of the apps on them.
type DeviceApps interface {
	// App asks what a device said last, sealed by it; empty: nothing.
	App(ctx context.Context, id sallyport.DeviceID) ([]byte, error)
	// SetDeviceApp keeps it.
	SetDeviceApp(ctx context.Context, id sallyport.DeviceID, a sallyport.App) error
}

// updated looks whether an app that was too old for a push has been updated since it said so. It could not say so in an answer: it
// is not asked. What cannot be learned now leaves it as old as it was.
func (e *Engine) updated(ctx context.Context, standing sallyport.Standing) []sallyport.Device {
	devices := standing.Devices
	if e.DeviceApps == nil || !standing.Workflow.NumberMatching || !policy.TooOld(devices) {
		return devices
	}
	devices = slices.Clone(devices)
	for i, d := range devices {
		box, err := e.DeviceApps.App(ctx, d.ID)
		if err != nil {
			e.Log.WarnContext(ctx, "whether the app was updated is not known; its token code is asked for", "device", d.ID, "err", err)
			continue
		}
		if len(box) == 0 {
			continue
		}
		app, err := deviceproto.OpenApp(d.DetailsKey, d.PublicKey, d.ID, box)
		if err != nil {
			e.Log.WarnContext(ctx, "what is said of the app does not hold", "device", d.ID, "err", err)
			continue
		}
		e.keepApp(ctx, d, app)
		devices[i].App = app
	}
	return devices
}

// keepApp notes what a device says of its app, if that is news.
func (e *Engine) keepApp(ctx context.Context, d sallyport.Device, app sallyport.App) {
	if e.DeviceApps == nil || app == d.App {
		return
	}
	if err := e.DeviceApps.SetDeviceApp(ctx, d.ID, app); err != nil {
		e.Log.WarnContext(ctx, "version of the app not kept", "device", d.ID, "err", err)
		return
	}
	e.Log.InfoContext(ctx, "device has another app", "account", d.Account, "device", d.ID, "version", app.Version, "number_matching", !app.WithoutNumberMatching)
}

// asked is the device that a push goes to: the newest whose app can ask what it has to; false: none can.
func (s State) asked(devices []sallyport.Device) (sallyport.Device, bool) {
	for _, d := range devices {
		if s.Plain || !d.App.WithoutNumberMatching {
			return d, true
		}
	}
	return sallyport.Device{}, false
}
