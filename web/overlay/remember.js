/*!
 * Sallyport login overlay: remembers this browser (docs/protocol/browser.md section 8). f5.js loads it.
 */
document.currentScript.sallyport({}, function (kit) {
  'use strict';

  var STORE = 'remembered';
  var LONGEST = 121 * 24 * 3600000; // no policy remembers a device for longer
  var HOUR = 3600000;

  var opened = null;

  // Resolves to the database of this origin. A browser that has none, or gives none, remembers nothing: no error.
  function open() {
    opened = opened || new Promise(function (resolve, reject) {
      var asked = window.indexedDB.open('sallyport', 1);
      asked.onupgradeneeded = function () { asked.result.createObjectStore(STORE); };
      asked.onsuccess = function () {
        asked.result.onversionchange = asked.result.onclose = function () {
          asked.result.close();
          opened = null;
        };
        resolve(asked.result);
      };
      asked.onerror = asked.onblocked = function (event) {
        event.preventDefault();
        reject(asked.error);
      };
      setTimeout(reject, 1000); // some never answer
    });
    return opened;
  }

  // Resolves to what work gives to its second argument once all of it is on the disk.
  function change(work) {
    return open().then(function (db) {
      return new Promise(function (resolve, reject) {
        var t = db.transaction(STORE, 'readwrite', { durability: 'strict' }), given;
        t.oncomplete = function () { resolve(given); };
        t.onabort = function () { reject(t.error); };
        t.onerror = function (event) { event.preventDefault(); };
        work(t.objectStore(STORE), function (v) { given = v; });
      });
    });
  }

  function get(store, key, then) { store.get(key).onsuccess = function (event) { then(event.target.result); }; }

  // A device is remembered for one user name in one enterprise; a key that waits for the end of its login has that login besides.
  function place(a) { return [kit.tag().tenant, a.user.toLowerCase()]; }

  function waiting(a) { return place(a).concat(a.login.id); }

  // Takes away what is of no use any more, and finds out on the way whether a key can be kept at all.
  function tidy() {
    return makeKey().then(function (pair) {
      return change(function (store) {
        store.put({ key: pair.privateKey, at: 0 }, ['try']);
        store.openCursor().onsuccess = function (event) {
          var at = event.target.result, life;
          if (!at) return;
          life = Array.isArray(at.key) && at.key.length === 2 ? LONGEST : HOUR;
          if (!(Date.now() - at.value.at < life)) at['delete']();
          at['continue']();
        };
      });
    });
  }

  function makeKey() {
    return crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
  }

  // Resolves to whether this page is the only one that logs this user in as remembered, and stays so until the cloud has answered:
  // two at once would look like a copy of this browser.
  function alone(a) {
    if (a.alone || !navigator.locks) return Promise.resolve(true);
    return new Promise(function (resolve) {
      navigator.locks.request('sallyport ' + place(a).join(' '), { ifAvailable: true }, function (lock) {
        resolve(a.alone = !!lock);
        return lock && answered(a);
      }).then(null, function () { resolve(false); });
    });
  }

  function answered(a) {
    return new Promise(function (resolve) {
      var timer = setInterval(function () {
        if (!a.session && !a.over) return;
        clearInterval(timer);
        resolve();
      }, 50);
    });
  }

  // Resolves to the entry with its count raised, or to nothing.
  function count(a) {
    return change(function (store, give) {
      get(store, place(a), function (e) {
        if (!e || !(Date.now() - e.at < LONGEST)) return;
        e.n++;
        store.put(e, place(a));
        give(e);
      });
    });
  }

  function known(a) { return change(function (store, give) { get(store, place(a), give); }); }

  return {
    // Once the page is there: where nothing can be kept, remembering is not offered.
    ready: function () {
      return tidy().then(null, function () {
        var has = kit.has;
        kit.has = function (name) { return name !== 'remember' && has(name); };
      });
    },

    // Adds to the credentials that this browser was remembered, if it was.
    claim: function (a, body) {
      var began = Date.now();
      return known(a).then(function (e) { return e && alone(a); }).then(function (mine) { return mine && count(a); }).then(function (e) {
        if (!e) return;
        var text = kit.fields('sallyport/v1 remembered', kit.tag().tenant, kit.tag().integration, a.login.id, a.user, e.id, e.n);
        return crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, e.key, text).then(function (signature) {
          // The login is not waited for: what comes too late must not change what is on its way.
          if (Date.now() - began < 1200) body.remembered = { id: e.id, n: e.n, signature: kit.encode(signature) };
        });
      });
    },

    // Resolves to the public key that the appliance is told when the box is ticked.
    prepare: function (a) {
      return makeKey().then(function (pair) {
        return Promise.all([crypto.subtle.exportKey('raw', pair.publicKey), change(function (store) {
          store.put({ key: pair.privateKey, at: Date.now() }, waiting(a));
        })]);
      }).then(function (r) { return kit.encode(r[0]); });
    },

    // The login is done: the key is kept by the name that the appliance gave it, and a cookie taken.
    keep: function (a, remembered) {
      return change(function (store) {
        get(store, waiting(a), function (e) {
          if (!e) return;
          store['delete'](waiting(a));
          store.put({ key: e.key, id: remembered.id, n: 0, at: Date.now() }, place(a));
        });
      }).then(function () {
        return window.fetch(kit.tag().base + '/v1/logins/' + encodeURIComponent(a.login.id) + '/remembered', {
          method: 'POST', headers: { Authorization: 'Bearer ' + a.session }, keepalive: true,
          mode: 'cors', credentials: 'include', cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer'
        });
      });
    }
  };
});
