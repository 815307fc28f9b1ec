/**
 * The pages that mailed links lead to where no app of one's own takes them (`APP_URL`): confirm an address, choose a password, accept an invitation.
 * Opening one does nothing yet, because mail programs open links to look at them.
 */
import { contentPolicy } from './content-policy.ts';
import { docsStyle } from './docs-style.ts';
import { linkScript } from './link-script.ts';

interface LinkPage {
  readonly title: string;
  readonly text: string;
  /** Fields of the form, as HTML. */
  readonly fields: string;
  readonly action: string;
}

const newPassword =
  '<label><span>New password <i>12 characters or more</i></span><input name="password" type="password" minlength="12" maxlength="128" autocomplete="new-password" required></label>';

const pages: Readonly<Record<string, LinkPage>> = {
  'verify-email': {
    title: 'Confirm your address',
    text: 'Is this address yours?',
    fields: '',
    action: 'Confirm address',
  },
  'reset-password': {
    title: 'Choose a new password',
    text: 'It signs you out everywhere.',
    fields: newPassword,
    action: 'Change password',
  },
  'accept-invitation': {
    title: 'Accept the invitation',
    text: 'Sign in with the address it was sent to; give a user name as well to make an account.',
    fields: `<label><span>E-mail</span><input name="email" type="email" maxlength="254" autocomplete="email" required></label>
<label><span>Password</span><input name="password" type="password" maxlength="128" autocomplete="current-password" required></label>
<label><span>User name <i>only for a new account</i></span><input name="username" maxlength="40" autocomplete="username"></label>
<label><span>Code <i>only with a second factor</i></span><input name="code" maxlength="40" inputmode="numeric" autocomplete="one-time-code"></label>`,
    action: 'Join',
  },
};

/** Paths of the pages. */
export const linkPaths: readonly string[] = Object.keys(pages).map((step) => `/${step}`);

const style = `${docsStyle}
.card { max-width: 26rem; margin: 12vh auto; background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 1.5rem 1.75rem; }
.card h1 { font-size: 1.25rem; margin: 0 0 .25rem; } .card p { color: var(--soft); margin: .25rem 0 1rem; } .card .row { margin-top: 1.1rem; }
.card #said { font-weight: 600; margin: 1rem 0 0; } .card #said.good { color: var(--good); } .card #said.bad { color: var(--bad); }
`;

/** What the pages may do: run their one script and style, and call this server. */
export function linkPolicy(): string {
  return contentPolicy({ script: linkScript, style });
}

/** The page of a path of `linkPaths`; empty for any other. */
export function linkPage(path: string): string {
  const step = path.slice(1);
  const page = Object.hasOwn(pages, step) ? pages[step] : undefined;
  if (page === undefined) return '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${page.title}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<main class="card">
<h1>${page.title}</h1>
<p>${page.text}</p>
<form data-step="${step}">
${page.fields}
<div class="row"><button class="main">${page.action}</button></div>
</form>
<p id="said" role="status" hidden></p>
</main>
<script>${linkScript}</script>
</body>
</html>
`;
}
