// Waits for what happens on the phone, and shows the page again when it has. Without this script a button does the same.
'use strict';
(async () => {
  if (!document.querySelector('[data-wait]')) return;
  for (let failures = 0; failures < 5;) {
    try {
      const answer = await fetch('/me/wait', { headers: { Accept: 'application/json' } });
      if (!answer.ok) return location.replace('/me');
      const said = await answer.json();
      if (said.changed) return location.replace(said.to);
      failures = 0;
    } catch {
      failures++;
      await new Promise((done) => setTimeout(done, 1000 * 2 ** failures));
    }
  }
})();
