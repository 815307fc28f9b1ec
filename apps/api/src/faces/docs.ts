/** The page at `/docs`: read and try every operation, in one file without assets. */
import { createHash } from 'node:crypto';
import { errorTable } from '@novax/contracts/errors';
import { docsScript } from './docs-script.ts';
import { docsStyle } from './docs-style.ts';

let built: string | undefined;

/** The page's HTML; made on first use. It reads `/openapi.json` of the same server and works without any other. */
export function docsPage(): string {
  built ??= page();
  return built;
}

/** What the page may do: run its one script and style, known by their hashes, and call this server. */
export function docsPolicy(): string {
  policy ??= [
    "default-src 'none'",
    `script-src '${hashOf(docsScript)}'`,
    `style-src '${hashOf(docsStyle)}'`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  return policy;
}
let policy: string | undefined;

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

function page(): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>NovaX API</title>
<link rel="icon" href="data:,">
<style>${docsStyle}</style>
</head>
<body>
<header>
<h1>NovaX <small>API</small></h1>
<div class="grow"><input id="search" type="search" placeholder="Search operations  ( / )" aria-label="Search operations"></div>
<input id="token" class="mono" type="password" placeholder="Access token" aria-label="Access token" autocomplete="off">
<button id="throwaway" type="button">Register a throwaway user</button>
</header>
<div class="shell">
<nav id="nav" aria-label="Operations"></nav>
<main>
<div id="notice" class="notice" role="status" hidden></div>
<p id="intro" class="intro">Reading the description of the API …</p>
<p>Machine-readable: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1). The token stays in this tab and goes to this server alone.</p>
<div id="operations"></div>
<p id="nothing" hidden>No operation has all of these words.</p>
<h2 id="errors">Errors <small>One table for every face of the API; programs decide by the code.</small></h2>
<div class="scroll"><table><thead><tr><th>Code</th><th>Status</th><th>Try again?</th><th>Meaning</th></tr></thead><tbody>${errorRows()}</tbody></table></div>
</main>
</div>
<noscript>This page needs JavaScript; <a href="/openapi.json">/openapi.json</a> says the same.</noscript>
<script>${docsScript}</script>
</body>
</html>
`;
}

/** The table's texts are our own and hold no markup. */
function errorRows(): string {
  return Object.entries(errorTable)
    .map(
      ([code, { http, retryable, text }]) =>
        `<tr><td><code>${code}</code></td><td>${http}</td><td>${retryable ? 'later' : 'no'}</td><td>${text}</td></tr>`,
    )
    .join('');
}
