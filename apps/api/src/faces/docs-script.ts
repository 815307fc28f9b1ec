/** The script of `/docs`: reads /openapi.json, writes one form per operation, sends what is typed. Text reaches the page as text, never as HTML. */

export const docsScript =
  String.raw`
'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const tokenKey = 'novax.docs.token';
  const tokenField = byId('token');
  tokenField.value = sessionStorage.getItem(tokenKey) ?? '';
  tokenField.addEventListener('input', () => keep(tokenField.value.trim()));
  const keep = (token) => { if (token === '') sessionStorage.removeItem(tokenKey); else sessionStorage.setItem(tokenKey, token); tokenField.value = token; };

  /** An element with attributes and children; strings become text. */
  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
      if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, '');
      else if (value !== false && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }
  /** Text with its backquoted parts as code. */
  const prose = (text) => text.split('` +
  '`' +
  String.raw`').map((part, index) => (index % 2 === 1 ? el('code', null, part) : part));

  const pointer = (doc, ref) => ref.slice(2).split('/').reduce((at, step) => at?.[step], doc);
  const deref = (doc, schema) => (schema?.$ref ? { ...pointer(doc, schema.$ref), ...(schema.description ? { description: schema.description } : {}) } : schema) ?? {};

  /** A value of the schema's shape; without all, only what a caller must send or gets by default. */
  function example(doc, schema, { name = '', depth = 0, all = true } = {}) {
    const shape = deref(doc, schema);
    if (shape.default !== undefined) return shape.default;
    if (shape.const !== undefined) return shape.const;
    if (shape.enum) return shape.enum[0];
    if (shape.anyOf) return depth > 3 ? null : example(doc, shape.anyOf[0], { name, depth: depth + 1 });
    if (shape.type === 'object') {
      const required = new Set(shape.required ?? []);
      const wanted = Object.entries(shape.properties ?? {}).filter(([key, part]) => (depth === 0 && all) || required.has(key) || required.size === 0 || (depth === 0 && deref(doc, part).default !== undefined));
      return Object.fromEntries(depth > 3 ? [] : wanted.map(([key, part]) => [key, example(doc, part, { name: key, depth: depth + 1 })]));
    }
    if (shape.type === 'array') return depth > 3 || !shape.items ? [] : [example(doc, shape.items, { name, depth: depth + 1 })];
    if (shape.type === 'integer' || shape.type === 'number') return shape.minimum ?? 1;
    if (shape.type === 'boolean') return true;
    if (shape.format === 'uuid') return '00000000-0000-0000-0000-000000000000';
    if (shape.format === 'date-time') return '2026-01-01T00:00:00.000Z';
    if (shape.format === 'email') return 'ada@example.com';
    return { password: 'correct horse battery', username: 'ada', slug: 'acme', title: 'A title', name: 'A name', content: '# Heading\n\nSome Markdown.' }[name] ?? 'text';
  }
  function typeText(doc, schema) {
    const shape = deref(doc, schema);
    if (schema?.$ref) return schema.$ref.split('/').pop();
    if (shape.enum) return shape.enum.join(' | ');
    const limits = [shape.minimum !== undefined || shape.maximum !== undefined ? (shape.minimum ?? '…') + '–' + (shape.maximum ?? '…') : '', shape.maxLength ? '≤ ' + shape.maxLength + ' characters' : ''];
    return [shape.format ?? shape.type ?? 'any', ...limits, shape.default === undefined || typeof shape.default === 'object' ? '' : 'default ' + JSON.stringify(shape.default)].filter(Boolean).join(', ');
  }

  async function send(request) {
    const token = sessionStorage.getItem(tokenKey);
    const headers = { ...(request.body === undefined ? {} : { 'content-type': 'application/json' }), ...(token && !request.open ? { authorization: 'Bearer ' + token } : {}) };
    const started = performance.now();
    const response = await fetch(request.url, { method: request.method, headers, body: request.body, signal: AbortSignal.timeout(30000) });
    const text = await response.text();
    const ms = performance.now() - started;
    let json;
    try { json = JSON.parse(text); } catch { json = undefined; }
    return { response, json, text, ms };
  }
  function show(into, answer) {
    const { response, json, text, ms } = answer;
    const requestId = response.headers.get('x-request-id');
    const retry = response.headers.get('retry-after');
    into.replaceChildren(
      el('div', { class: 'facts' },
        el('span', { class: 'status ' + (response.ok ? 'good' : 'bad') }, response.status + (json?.code && !response.ok ? ' ' + json.code : '')),
        el('span', null, ms.toFixed(1) + ' ms'),
        requestId ? el('span', null, 'request ', el('code', null, requestId)) : null,
        retry ? el('span', null, 'try again in ' + retry + ' s') : null),
      el('pre', { tabindex: '0', 'aria-label': 'Response body' }, json === undefined ? text || '(no body)' : JSON.stringify(json, null, 2)));
  }

  function operationView(doc, entry) {
    const { path, method, operation } = entry;
    const open = operation.security?.length === 0;
    const view = el('details', { class: 'op', id: operation.operationId });
    const summary = el('summary', null, el('span', { class: 'verb ' + method }, method.toUpperCase()), el('span', { class: 'path' }, path),
      el('span', { class: 'what' }, operation.summary), el('span', { class: 'lock' }, open ? 'no token' : 'token'));
    view.append(summary);
    // Forms are built when first opened, so that a long contract costs nothing at load.
    view.addEventListener('toggle', () => { if (view.open && view.children.length === 1) view.append(operationBody(doc, entry, open)); });
    return view;
  }

  function operationBody(doc, { path, method, operation }, open) {
    const fields = new Map();
    const inputs = (operation.parameters ?? []).map((parameter) => {
      const shape = deref(doc, parameter.schema);
      const input = shape.enum
        ? el('select', null, ...(parameter.required ? [] : [el('option', { value: '' }, '')]), ...shape.enum.map((value) => el('option', { value }, value)))
        : el('input', { class: 'mono', placeholder: shape.default === undefined ? '' : String(shape.default), spellcheck: 'false', autocomplete: 'off' });
      fields.set(parameter, input);
      return el('label', null, el('span', null, el('code', null, parameter.name), parameter.required ? el('em', null, 'required') : null, el('i', null, typeText(doc, parameter.schema))),
        input, parameter.description ? el('i', null, ...prose(parameter.description)) : null);
    });
    const schema = operation.requestBody?.content['application/json'].schema;
    const body = schema ? el('textarea', { spellcheck: 'false', 'aria-label': 'Request body' }) : null;
    if (body) { body.value = JSON.stringify(example(doc, schema, { all: method !== 'post' }), null, 2); body.rows = Math.min(body.value.split('\n').length + 1, 18); }
    const answer = el('div', { 'aria-live': 'polite' });
    const button = el('button', { class: 'main', type: 'submit' }, 'Send');
    const form = el('form', { onsubmit: (event) => { event.preventDefault(); void submit(); } }, ...inputs,
      body ? el('label', null, el('span', null, 'JSON body'), body) : null,
      el('div', { class: 'row' }, button, el('button', { type: 'button', onclick: () => void copy() }, 'Copy as curl')));

    function request() {
      let filled = path;
      const query = new URLSearchParams();
      for (const [parameter, input] of fields) {
        const value = input.value.trim();
        if (parameter.in === 'path') filled = filled.replace('{' + parameter.name + '}', encodeURIComponent(value || '-'));
        else if (value !== '') query.set(parameter.name, value);
      }
      const search = query.toString();
      return { method: method.toUpperCase(), url: doc.servers[0].url + filled + (search ? '?' + search : ''), body: body ? body.value : undefined, open };
    }
    async function submit() {
      button.disabled = true;
      try {
        const result = await send(request());
        show(answer, result);
        if (result.response.ok && typeof result.json?.accessToken === 'string') keep(result.json.accessToken);
        if (result.response.ok && operation.operationId === 'auth_logout') keep('');
      } catch (error) {
        answer.replaceChildren(el('div', { class: 'notice bad' }, 'The server did not answer: ' + error.message));
      } finally { button.disabled = false; }
    }
    async function copy() {
      const { method: verb, url, body: text } = request();
      const quote = (value) => "'" + value.replaceAll("'", "'\\''") + "'";
      const lines = ['curl -sS -X ' + verb + ' ' + quote(location.origin + url), open ? '' : '-H "Authorization: Bearer $TOKEN"', text === undefined ? '' : "-H 'content-type: application/json' -d " + quote(text)];
      const command = lines.filter(Boolean).join(' \\\n  ');
      try { await navigator.clipboard.writeText(command); } catch { /* The text below can be copied by hand. */ }
      answer.replaceChildren(el('pre', { tabindex: '0' }, command));
    }

    const [status, success] = Object.entries(operation.responses).find(([code]) => code < '300') ?? ['', {}];
    const output = success.content?.['application/json']?.schema;
    const failures = Object.entries(operation.responses).filter(([code]) => code >= '300').map(([code, response]) =>
      el('tr', null, el('td', null, code), el('td', null, ...prose(deref(doc, response).description))));
    return el('div', { class: 'body' },
      el('p', null, ...prose(operation.description)), el('p', { class: 'what' }, 'tRPC: ', el('code', null, operation.operationId.replace('_', '.'))),
      el('div', { class: 'two' }, el('div', null, el('h3', null, 'Try it'), form, answer),
        el('div', null, el('h3', null, 'Answer ' + status), output ? el('pre', { tabindex: '0' }, JSON.stringify(example(doc, output), null, 2)) : el('p', null, 'No body.'),
          el('details', null, el('summary', null, 'Errors'), el('div', { class: 'scroll' }, el('table', null, el('tbody', null, ...failures)))))));
  }

  function search(entries) {
    const words = byId('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { view, link, text } of entries) view.hidden = link.hidden = !words.every((word) => text.includes(word));
    for (const section of document.querySelectorAll('section[data-tag]')) {
      const empty = section.querySelectorAll('details.op:not([hidden])').length === 0;
      section.hidden = empty;
      byId('nav-' + section.dataset.tag).hidden = empty;
    }
    byId('nothing').hidden = entries.some(({ view }) => !view.hidden);
  }

  async function throwaway() {
    const button = byId('throwaway');
    button.disabled = true;
    const name = 'try-' + crypto.getRandomValues(new Uint32Array(2)).reduce((text, part) => text + part.toString(36), '');
    const password = [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(36)).join('-');
    const notice = byId('notice');
    try {
      const result = await send({ method: 'POST', url: '/api/v1/auth/register', open: true, body: JSON.stringify({ email: name + '@example.com', username: name, password }) });
      notice.hidden = false;
      notice.className = 'notice' + (result.response.ok ? '' : ' bad');
      if (result.response.ok) { keep(result.json.accessToken); notice.replaceChildren('Signed in as ', el('code', null, name + '@example.com'), ', password ', el('code', null, password), '. Now create an organization.'); }
      else notice.replaceChildren('Not registered: ' + (result.json?.title ?? result.response.status));
    } catch (error) {
      notice.hidden = false; notice.className = 'notice bad'; notice.replaceChildren('The server did not answer: ' + error.message);
    } finally { button.disabled = false; }
  }

  async function begin() {
    const doc = await (await fetch('/openapi.json')).json();
    byId('intro').replaceChildren(...prose(doc.info.description));
    const entries = [];
    for (const tag of doc.tags) {
      const section = el('section', { 'data-tag': tag.name }, el('h2', null, tag.name, el('small', null, tag.description)));
      byId('nav').append(el('b', { id: 'nav-' + tag.name }, tag.name));
      for (const [path, methods] of Object.entries(doc.paths)) for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags[0] !== tag.name) continue;
        const view = operationView(doc, { path, method, operation });
        const link = el('a', { href: '#' + operation.operationId, onclick: () => { view.open = true; } }, operation.operationId.split('_').slice(1).join(' '));
        section.append(view);
        byId('nav').append(link);
        entries.push({ view, link, text: [method, path, operation.operationId.replace('_', '.'), operation.summary].join(' ').toLowerCase() });
      }
      byId('operations').append(section);
    }
    byId('search').addEventListener('input', () => search(entries));
    byId('throwaway').addEventListener('click', () => void throwaway());
    addEventListener('keydown', (event) => { if (event.key === '/' && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) { event.preventDefault(); byId('search').focus(); } });
    const named = location.hash && document.querySelector('details' + location.hash);
    if (named) { named.open = true; named.scrollIntoView(); }
  }
  begin().catch((error) => { byId('intro').replaceChildren('The description of the API could not be read: ' + error.message); });
})();
`;
