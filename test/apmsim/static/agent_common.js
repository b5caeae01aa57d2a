// The gateway's page loads a file of this name; nothing in it matters to the logon form.
var agentCommonLoaded = true;
