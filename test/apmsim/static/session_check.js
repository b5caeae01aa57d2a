// Watches the session the way the gateway's script does: asks after a while how long it still lives, and when it has
// ended puts a layer over the page and disables everything else on it.
function APMSessionTimeout(options) {
  var self = this;
  this.landingUri = '/';
  this.interval = options.interval || 30000;
  this.expired = options.onSessionTimeout;
  setTimeout(function () { self.check(); }, this.interval);
  setTimeout(function () { self.readLandingUri(); }, this.interval / 2);
}

APMSessionTimeout.prototype.get = function (address, done) {
  var request = new XMLHttpRequest();
  request.onreadystatechange = function () { if (request.readyState == 4) done(request); };
  request.open('GET', address, true);
  request.send('');
};

APMSessionTimeout.prototype.check = function () {
  var self = this;
  this.get('/vdesk/timeoutagent-i.php', function (request) {
    var found = document.cookie.match(/TIN=(\d+)/), left = found ? parseInt(found[1], 10) : -1;
    if (request.status > 0 && request.status < 400 && left > 0) {
      self.interval = left;
      setTimeout(function () { self.check(); }, left);
    } else if (request.status >= 400 || request.status == 0 || left == 0) {
      self.expired(request.status == 0);
    }
  });
};

APMSessionTimeout.prototype.readLandingUri = function () {
  var self = this;
  this.get('/vdesk/landinguri', function (request) {
    var res = request.status < 400 && request.responseXML && request.responseXML.getElementsByTagName('res')[0];
    if (res && res.getAttribute('type') == 'landing_uri') self.landingUri = res.firstChild.nodeValue;
  });
};

APMSessionTimeout.prototype.showSplashLayer = function (id, text) {
  var layer = document.getElementById(id);
  if (!layer) return;
  layer.className = 'inspectionHostDIVBig';
  layer.innerHTML = text.replace(/\[SESSION_RESTART_URL\]/g, this.landingUri);
  this.disableAll(document.body, layer);
};

APMSessionTimeout.prototype.disableAll = function (element, except) {
  if (!element || element == except) return;
  if (typeof element.disabled != 'undefined' && element != document.body) element.disabled = true;
  if (element.tagName == 'A') element.onclick = function () { return false; };
  for (var i = 0; i < (element.childNodes || []).length; i++) this.disableAll(element.childNodes[i], except);
};
