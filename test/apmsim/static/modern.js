// Draws the modern logon page after the document is there, as a component framework does: the values live in the
// component's state, which hears of input events only, and every drawing puts the state back into the inputs.
(function () {
  var state = { username: '', password: '', password1: '' };
  if (pageData.extra) state.domain = 'HOSPITAL';
  if (pageData.kind === 'challenge') state = { _F5_challenge: '' };
  var fields = [['username', 'Username', 'text'], ['password', 'Password', 'password'], ['password1', 'Token', 'password']];
  if (pageData.kind === 'challenge') fields = [['_F5_challenge', '', 'password']];
  var inputs = {}, button;

  function node(name, attributes, children) {
    var e = document.createElement(name);
    for (var key in attributes) e.setAttribute(key, attributes[key]);
    (children || []).forEach(function (c) { e.append(c); });
    return e;
  }

  function post(values) {
    var form = node('form', { method: 'post', action: '/my.policy', style: 'display:none' });
    for (var key in values) form.append(node('input', { type: 'hidden', name: key, value: values[key] }));
    document.body.append(form);
    form.submit();
  }

  function redraw() {
    for (var name in inputs) if (inputs[name].value !== state[name]) inputs[name].value = state[name];
    button.disabled = Object.keys(inputs).some(function (name) { return !state[name]; });
  }

  function control(field) {
    var input = node('input', { id: field[0], name: field[0], type: field[2], class: 'input', autocomplete: 'off' });
    input.addEventListener('input', function () {
      state[field[0]] = input.value;
      Promise.resolve().then(redraw);
    });
    inputs[field[0]] = input;
    return node('div', { class: 'field' }, [node('label', { for: field[0] }, [field[1]]), input]);
  }

  function domainList() {
    var list = node('select', { id: 'domain', name: 'domain' }, [
      node('option', { value: 'HOSPITAL' }, ['Hospital']), node('option', { value: 'CLINIC' }, ['Clinic'])
    ]);
    list.addEventListener('change', function () { state.domain = list.value; });
    return node('div', { class: 'field' }, [node('label', { for: 'domain' }, ['Domain']), list]);
  }

  function drawMessage() {
    var go = node('button', { type: 'button' }, ['Continue']);
    go.addEventListener('click', function () { post({ choice: 1 }); });
    document.body.append(node('main', { class: 'app' }, [node('h1', {}, ['The gateway will be serviced tonight.']), go]));
  }

  function drawForm() {
    button = node('button', { type: 'submit' }, ['Logon']);
    var form = node('form', { id: 'auth_form', autocomplete: 'off' });
    form.append(node('h1', {}, [pageData.header]));
    if (pageData.error) form.append(node('div', { class: 'message error', role: 'alert' }, [pageData.error]));
    fields.forEach(function (f) { form.append(control(f)); });
    if (pageData.extra) form.append(domainList());
    form.append(button);
    form.addEventListener('submit', function (event) {
      event.preventDefault();
      post(state);
    });
    document.body.append(node('main', { class: 'app' }, [form]));
    redraw();
    setInterval(redraw, 30); // whatever was put into an input without an event is gone soon
    inputs[fields[0][0]].focus();
  }

  document.addEventListener('DOMContentLoaded', function () {
    setTimeout(pageData.kind === 'messagebox' ? drawMessage : drawForm, 120);
  });
})();
