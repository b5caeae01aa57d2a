// Every sentence the page says about what happened.

const ENROLMENT = {
  invalid: 'This link is not complete. Copy the whole link and try again.',
  denied: 'This link was not accepted. Ask your company for a new one.',
  not_found: 'This link is not valid, or no longer. Ask your company for a new one.',
  expired: 'This link is too old. Ask your company for a new one.',
  conflict: 'This link was already used on another device. If that was not you, tell your company; then ask for a new link.',
};

const ANSWER = {
  expired: 'This request has ended.',
  not_found: 'This request has ended.',
  conflict: 'This request was already answered.',
  denied: 'This device is not known to the service any more. Ask your company for a new link.',
};

const ANY = {
  limited: 'Too many attempts. Wait a minute, then try again.',
  unavailable: 'The service cannot be reached right now. Try again in a moment.',
};

const explain = (words, error) => {
  if (isOffline(error)) return 'No connection. Check your network and try again.';
  return words[error.code] ?? ANY[error.code] ?? (error.message || 'Something went wrong. Please try again.');
};

// fetch reports a network that is down as a TypeError, and our deadline as a TimeoutError.
export const isOffline = (error) => error instanceof TypeError || error.name === 'TimeoutError';
export const explainEnrolment = (error) => explain(ENROLMENT, error);
export const explainAnswer = (error) => explain(ANSWER, error);

export const explainSerial = (error) => explain({}, error);

export const text = {
  offline: 'No connection. Token codes still work.',
  unreadable: 'A sign-in request came that this device cannot read. If you are signing in, use the token code.',
  unknown: 'This device is not accepted any more. Remove the account, and ask your company for a new link.',
  waiting: 'Waiting for your company to accept this device…',
  ending: (seconds) => `${seconds} seconds left.`,
  copied: 'Code copied',
  notCopied: 'Copying was not allowed. Please type the code.',
  notALink: 'This is not an enrolment link. Copy the whole link, with everything after the # sign.',
  unsupported: 'This browser cannot keep the keys of an account. Open this page over HTTPS, in a current browser, and not in a private window.',
  cameraRefused: 'The camera could not be used. Allow it in the settings of the browser, or paste the link.',
  tooManyWrong: 'Too many wrong codes were typed. Here is another serial number.',
  pasteRefused: 'Pasting was not allowed. Press long on the field, and choose "Paste".',
};

export const enrol = {
  confirm: {
    title: 'Add this account?',
    text: 'This device makes its own key for it. From then on it approves your sign-ins and shows your token codes.',
  },
  invited: (user, enterprise) => ({
    title: 'Add this account?',
    text: `Your serial number was typed for “${user}” at ${enterprise}. If that is you, add the account: from then on this device approves your sign-ins.`,
  }),
  sending: { title: 'Adding the account…', text: 'One moment.' },
  waiting: {
    title: 'Waiting for your company…',
    text: 'The link was sent. Your company checks it now. You may close this page: it goes on when you open it again.',
  },
  accepted: (user, enterprise) => ({ title: 'Account added', text: `You are “${user}” at ${enterprise}. When you sign in, this device asks you.` }),
  refused: { title: 'Not accepted', text: 'Your company did not accept this device. Ask for a new link.' },
  foreign: {
    title: 'Not accepted',
    text: 'The answer was not from the company that made the link, so this device keeps nothing of it. Tell your company, and ask for a new link.',
  },
  removed: { title: 'Removed', text: 'The account was removed from this device.' },
  failed: (sentence) => ({ title: 'Not added', text: sentence }),
  known: (user, enterprise) => ({ title: 'Already added', text: `This link was used on this device before, for “${user}” at ${enterprise}.` }),
  elsewhere: (host) => ({ title: 'Another service', text: `This link belongs to ${host}. It has to be opened there.` }),
};

// What the last screen of a challenge says, by how it ended.
export const results = {
  approve: { symbol: 'good', title: 'Sent', text: 'Go on at the sign-in page. If it says that the number was wrong, begin again there.' },
  deny: { symbol: 'danger', title: 'Denied', text: 'The sign-in was stopped.' },
  not_me: { symbol: 'danger', title: 'Stopped and reported', text: 'Change your password now, and tell your help desk.' },
  expired: { symbol: 'warn', title: 'Too late', text: 'The request has expired. Begin again at the sign-in page.' },
  ended: { symbol: 'warn', title: 'No longer needed', text: 'The request was cancelled, answered elsewhere, or a newer one took its place.' },
  unsure: { symbol: 'warn', title: 'Probably sent', text: 'The request has ended, but the receipt for your answer got lost. Look at the sign-in page.' },
  failed: (sentence) => ({ symbol: 'warn', title: 'Not sent', text: sentence }),
};
