package adminapi

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/language"
)

func settingHandlers() map[string]handler {
	return map[string]handler{
		"getConsoleSettings": (*call).getConsoleSettings, "changeConsoleSettings": (*call).changeConsoleSettings,
		"getLanguageSettings": (*call).getLanguageSettings, "changeLanguageSettings": (*call).changeLanguageSettings,
	}
}

// tagged and untagged go between a version and what an ETag has of it, for what is there before anybody set it:
// its version is 0 then, and an ETag begins with 1.
func tagged(version int64) int64 { return version + 1 }
func untagged(tag int64) int64   { return tag - 1 }

// consoleSettings are those of the console itself.
type consoleSettings struct {
	IdleMinutes int64 `json:"idleMinutes"`
}

type languageSettings struct {
	Default string `json:"default"`
}

func (c *call) getConsoleSettings() error {
	v, err := c.admin().ConsoleSettings(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, tagged(v.Version), consoleSettings{int64(v.Idle / time.Minute)})
}

func (c *call) changeConsoleSettings() error {
	var in consoleSettings
	if err := c.decode(&in); err != nil {
		return err
	}
	v := admin.ConsoleSettings{Idle: time.Duration(in.IdleMinutes) * time.Minute, Version: untagged(c.version)}
	if err := c.admin().SetConsoleSettings(c.ctx(), c.actor, v); err != nil {
		return err
	}
	return c.versioned(http.StatusOK, c.version+1, in)
}

func (c *call) getLanguageSettings() error {
	v, err := c.admin().LanguageSettings(c.ctx(), c.actor)
	if err != nil {
		return err
	}
	return c.versioned(http.StatusOK, tagged(v.Version), languageSettings{v.Default})
}

func (c *call) changeLanguageSettings() error {
	var in languageSettings
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := c.admin().SetLanguageSettings(c.ctx(), c.actor, language.Settings{Default: in.Default, Version: untagged(c.version)}); err != nil {
		return err
	}
	return c.versioned(http.StatusOK, c.version+1, in)
}
