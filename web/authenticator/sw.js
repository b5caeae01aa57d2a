// The service worker: keeps the page, so that token codes work without a network. It never touches
// the device API. SHELL changes with the files (a test computes it), and with it the whole page is
// replaced at once.
const SHELL = 'shell-d5dc6f33fbfd';
const FILES = ['./', 'style.css', 'app.js', 'manifest.webmanifest', 'icon.svg', 'icon-180.png', 'icon-192.png', 'icon-512.png', 'icon-maskable-512.png'];
const MODULES = ['accountdialog', 'add', 'api', 'bytes', 'challenge', 'clock', 'dom', 'enroldialog', 'enrolment', 'home', 'hpke', 'keys', 'link', 'push', 'serial', 'store', 'tokencode', 'watcher', 'words'];
const ADDRESSES = new Set([...FILES, ...MODULES.map((name) => `js/${name}.js`)].map((file) => new URL(file, registration.scope).href));

addEventListener('install', (event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll([...ADDRESSES].map((url) => new Request(url, { cache: 'reload' })))));
});

addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith('shell-') && name !== SHELL) await caches.delete(name);
    }
    await clients.claim();
  })());
});

addEventListener('message', (event) => {
  if (event.data === 'take over') skipWaiting();
});

addEventListener('fetch', (event) => {
  const { request } = event;
  const address = request.url.replace(/[?#].*$/, '').replace(/\/index\.html$/, '/');
  if (request.method !== 'GET' || !ADDRESSES.has(address)) return;
  event.respondWith(caches.open(SHELL).then(async (cache) => await cache.match(address) ?? fetch(request)));
});

addEventListener('notificationclick', (event) => {
  event.notification.close();
  event.waitUntil((async () => {
    const open = await clients.matchAll({ type: 'window', includeUncontrolled: true });
    const page = open.find((client) => client.url.startsWith(registration.scope));
    return page ? page.focus() : clients.openWindow(registration.scope);
  })());
});
