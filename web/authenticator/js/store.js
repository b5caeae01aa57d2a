// What the phone keeps: accounts with their keys, and a few settings, in IndexedDB, which can hold
// CryptoKeys without showing their octets.

const NAME = 'sallyport-authenticator';
const VERSION = 1;

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

export async function openStore() {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => {
    request.result.createObjectStore('accounts', { keyPath: 'deviceId' });
    request.result.createObjectStore('settings');
  };
  const db = await done(request);
  db.onversionchange = () => db.close();

  // Resolves when it is on the disk, not when it is asked for: an account is announced to the
  // token service only after its key is kept.
  const write = (name, change) => new Promise((resolve, reject) => {
    const transaction = db.transaction(name, 'readwrite', { durability: 'strict' });
    change(transaction.objectStore(name));
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
  const read = (name, ask) => done(ask(db.transaction(name).objectStore(name)));

  return {
    accounts: async () => (await read('accounts', (s) => s.getAll())).sort((a, b) => a.created - b.created),
    account: (deviceId) => read('accounts', (s) => s.get(deviceId)),
    save: (account) => write('accounts', (s) => s.put(account)),
    remove: (deviceId) => write('accounts', (s) => s.delete(deviceId)),
    setting: (key) => read('settings', (s) => s.get(key)),
    setSetting: (key, value) => write('settings', (s) => s.put(value, key)),
  };
}

// Asks the browser not to throw the keys away when the disk gets full.
export async function keepForGood() {
  try {
    return await navigator.storage?.persist?.() ?? false;
  } catch {
    return false;
  }
}
