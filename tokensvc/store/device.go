package store

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

// Device is what the token service knows of an enrolled device: the key that its requests are
// checked with, and where pushes go. Not whose it is.
type Device struct {
	PublicKey []byte // SubjectPublicKeyInfo DER
	Platform  string
	Push      deviceproto.Push
	// App is what the device said last of its app, sealed for the appliance; nil: nothing since it enrolled.
	App []byte
}

const (
	fieldKey      = "key"
	fieldPlatform = "platform"
	fieldProvider = "provider"
	fieldToken    = "token"
	fieldApp      = "app"
)

func (d Device) fields() []any {
	return []any{
		fieldKey, string(d.PublicKey), fieldPlatform, d.Platform,
		fieldProvider, string(d.Push.Provider), fieldToken, d.Push.Token, fieldApp, string(d.App),
	}
}

func deviceOf(fields map[string]string) Device {
	return Device{
		App:       []byte(fields[fieldApp]),
		PublicKey: []byte(fields[fieldKey]), Platform: fields[fieldPlatform],
		Push: deviceproto.Push{Provider: deviceproto.Provider(fields[fieldProvider]), Token: fields[fieldToken]},
	}
}

const errNoDevice = "This device is not enrolled here."

// Device returns an enrolled device; CodeNotFound when there is none.
func (s *Store) Device(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID) (Device, error) {
	fields, err := s.redis.HGetAll(ctx, deviceKey(t, id)).Result()
	if err != nil {
		return Device{}, unavailable("read device", err)
	}
	if len(fields) == 0 {
		return Device{}, notFound(errNoDevice)
	}
	return deviceOf(fields), nil
}

// SetPush changes where pushes to a device go.
func (s *Store) SetPush(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID, p deviceproto.Push) error {
	return s.changePush(ctx, t, id, p, func(map[string]string) bool { return true })
}

// SetApp keeps what a device says of its app.
func (s *Store) SetApp(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID, sealed []byte) error {
	return s.changeDevice(ctx, "keep what is said of app", t, id, func(map[string]string) []any { return []any{fieldApp, string(sealed)} })
}

// ForgetAddress takes away a push address that its provider no longer knows, unless the device has
// given another one meanwhile.
func (s *Store) ForgetAddress(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID, gone deviceproto.Push) error {
	return s.changePush(ctx, t, id, deviceproto.Push{Provider: deviceproto.ProviderNone}, func(f map[string]string) bool {
		return f[fieldToken] == gone.Token && f[fieldProvider] == string(gone.Provider)
	})
}

func (s *Store) changePush(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID, p deviceproto.Push, want func(map[string]string) bool) error {
	return s.changeDevice(ctx, "change push address", t, id, func(f map[string]string) []any {
		if !want(f) {
			return nil
		}
		return []any{fieldProvider, string(p.Provider), fieldToken, p.Token}
	})
}

// changeDevice sets the fields of a device that there is; none: it stays as it is.
func (s *Store) changeDevice(ctx context.Context, doing string, t sallyport.TenantID, id sallyport.DeviceID, change func(map[string]string) []any) error {
	key := deviceKey(t, id)
	err := s.watch(ctx, func(tx *redis.Tx) error {
		fields, err := tx.HGetAll(ctx, key).Result()
		if err != nil {
			return err
		}
		if len(fields) == 0 {
			return notFound(errNoDevice)
		}
		set := change(fields)
		if set == nil {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(p2 redis.Pipeliner) error {
			p2.HSet(ctx, key, set...)
			return nil
		})
		return err
	}, key)
	return unavailable(doing, err)
}

// RemoveDevice forgets a device, its push address and its pending challenge. That it is not there is
// no error: it may be asked twice.
func (s *Store) RemoveDevice(ctx context.Context, t sallyport.TenantID, id sallyport.DeviceID) error {
	pending, err := absent(s.redis.Get(ctx, pendingKey(t, id)))
	if err != nil {
		return unavailable("read pending challenge", err)
	}
	if err := s.redis.Del(ctx, deviceKey(t, id), pendingKey(t, id)).Err(); err != nil {
		return unavailable("remove device", err)
	}
	if pending == "" {
		return nil
	}
	_, err = s.end(ctx, t, sallyport.ChallengeID(pending), End{Reason: EndCancelled})
	return err
}
