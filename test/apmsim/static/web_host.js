// The bridge to the desktop client that hosts the page. Outside of it there is nothing to talk to; the session reset
// leaves a mark, so that a test can see that it was asked for.
var externalWebHost = {
  isAvailable: function () { return false; },
  hasWebLogonResetSession: function () { return globalRestartOnSubmit; },
  webLogonResetSession: function () { window.sessionResets = (window.sessionResets || 0) + 1; }
};
