/** The script of the pages that mailed links lead to: sends what is typed, and the link's secret, to this server alone. */

export const linkScript = `
const say = (text, bad) => { const at = document.getElementById('said'); at.textContent = text; at.className = bad ? 'bad' : 'good'; at.hidden = false; };
const token = new URLSearchParams(location.search).get('token') ?? '';
// Out of the address bar: it must not stand in the history, nor go along to the next page.
history.replaceState(null, '', location.pathname);
const post = async (path, body, bearer) => {
  const headers = { 'content-type': 'application/json', ...(bearer && { authorization: 'Bearer ' + bearer }) };
  const answer = await fetch('/api/v1/' + path, { method: 'POST', headers, body: JSON.stringify(body) });
  const data = await answer.json();
  if (answer.ok) return data;
  throw new Error((data.title ?? 'That did not work.') + (data.code === 'RATE_LIMITED' ? ' Wait ' + (answer.headers.get('retry-after') ?? 'a few') + ' s.' : ''));
};
const steps = {
  async 'verify-email'() { await post('auth/verify-email', { token }); return 'Your address is confirmed.'; },
  async 'reset-password'(given) { await post('auth/reset-password', { token, newPassword: given.password }); return 'Your password is changed. You are signed out everywhere.'; },
  async 'accept-invitation'(given) {
    const { email, password, username, code } = given;
    const { accessToken } = username ? await post('auth/register', { email, password, username }) : await post('auth/login', { email, password, ...(code && { code }) });
    const { role } = await post('invitations/accept', { token }, accessToken);
    return 'You are in, as ' + role + '.';
  },
};
const form = document.querySelector('form');
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = form.querySelector('button');
  button.disabled = true;
  try {
    say(await steps[form.dataset.step](Object.fromEntries(new FormData(form))), false);
    form.hidden = true;
  } catch (error) { say(error.message, true); button.disabled = false; }
});
if (token === '') { say('This link is not whole. Open it once more from the mail.', true); form.hidden = true; }
`;
