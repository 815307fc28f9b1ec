/** The style of `/docs`: system fonts, two colour schemes, no assets. */

export const docsStyle = `
:root { color-scheme: light dark; --bg: #f7f8fa; --panel: #fff; --ink: #171a21; --soft: #5a6272; --line: #e2e5eb; --accent: #3454d1; --onaccent: #fff; --code: #f1f3f7;
  --get: #0b7a55; --post: #3454d1; --patch: #96580a; --put: #96580a; --delete: #b3261e; --good: #0b7a55; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --bg: #0f1217; --panel: #171b22; --ink: #e7eaf0; --soft: #9aa4b5; --line: #2a303b; --accent: #8ea6ff; --onaccent: #0d1330; --code: #10141a;
  --get: #4fd1a1; --post: #8ea6ff; --patch: #f0b35a; --put: #f0b35a; --delete: #ff8a80; --good: #4fd1a1; --bad: #ff8a80; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 5rem; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
code, pre, textarea, .path, input.mono { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 13px; }
code { background: var(--code); border-radius: 4px; padding: .1em .35em; }
header { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: center; padding: .7rem 1.25rem; background: var(--panel); border-bottom: 1px solid var(--line); }
header h1 { font-size: 1.1rem; margin: 0; letter-spacing: -.01em; } header h1 small { color: var(--soft); font-weight: 400; font-size: .8rem; margin-left: .35rem; }
header .grow { flex: 1 1 10rem; } header #search { width: 100%; max-width: 22rem; } header #token { width: 15rem; }
input, textarea, select { background: var(--bg); color: var(--ink); border: 1px solid var(--line); border-radius: 7px; padding: .42rem .6rem; font-size: 14px; width: 100%; }
input:focus-visible, textarea:focus-visible, select:focus-visible, button:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
button { border: 1px solid var(--line); background: var(--panel); color: var(--ink); border-radius: 7px; padding: .42rem .85rem; font: inherit; font-size: 14px; cursor: pointer; }
button:hover { border-color: var(--accent); } button.main { background: var(--accent); border-color: var(--accent); color: var(--onaccent); font-weight: 600; } button:disabled { opacity: .55; cursor: default; }
.shell { display: grid; grid-template-columns: 15rem minmax(0, 1fr); max-width: 82rem; margin: 0 auto; }
nav { position: sticky; top: 3.7rem; align-self: start; max-height: calc(100vh - 3.7rem); overflow: auto; padding: 1.25rem .5rem 2rem 1.25rem; font-size: 13.5px; }
nav b { display: block; margin: 1rem 0 .15rem; text-transform: capitalize; } nav b:first-child { margin-top: 0; } nav a { display: block; color: var(--soft); padding: .1rem 0; } nav a:hover { color: var(--accent); }
main { padding: 1.25rem 1.25rem 6rem; min-width: 0; }
.intro { color: var(--soft); max-width: 52rem; } .intro code { color: var(--ink); }
h2 { margin: 2rem 0 .5rem; font-size: 1.15rem; text-transform: capitalize; } h2 small { display: block; color: var(--soft); font-weight: 400; font-size: .9rem; text-transform: none; }
h3 { margin: 1.2rem 0 .4rem; font-size: .78rem; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); }
details.op { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; margin: .55rem 0; overflow: clip; } details.op[open] { border-color: var(--accent); }
details.op > summary { display: grid; grid-template-columns: 4.4rem minmax(10rem, 18rem) 1fr auto; gap: .8rem; align-items: baseline; padding: .6rem .9rem; cursor: pointer; list-style: none; }
details.op > summary::-webkit-details-marker { display: none; }
.verb { font: 700 11.5px/1.6 ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; text-align: center; border-radius: 5px; border: 1px solid currentColor; }
.verb.get { color: var(--get); } .verb.post { color: var(--post); } .verb.patch, .verb.put { color: var(--patch); } .verb.delete { color: var(--delete); }
.path { overflow-wrap: anywhere; } .what { color: var(--soft); font-size: 14px; } .lock { color: var(--soft); font-size: 12px; white-space: nowrap; }
.body { border-top: 1px solid var(--line); padding: .4rem .9rem 1rem; } .body p { margin: .6rem 0; }
.two { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 1.5rem; }
label { display: block; margin: .5rem 0; } label span { display: flex; gap: .5rem; align-items: baseline; font-size: 13px; margin-bottom: .15rem; } label i { font-style: normal; color: var(--soft); font-size: 12px; } label em { color: var(--bad); font-style: normal; }
textarea { min-height: 9rem; resize: vertical; } .row { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; margin-top: .7rem; }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 7px; padding: .7rem .8rem; margin: .4rem 0; overflow: auto; max-height: 26rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.status { font-weight: 700; } .status.good { color: var(--good); } .status.bad { color: var(--bad); } .facts { margin-top: .9rem; display: flex; flex-wrap: wrap; gap: .3rem 1rem; font-size: 13px; color: var(--soft); align-items: baseline; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 13.5px; } th, td { text-align: left; padding: .38rem .7rem .38rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } th { color: var(--soft); font-weight: 600; }
.notice { border: 1px solid var(--line); border-left: 4px solid var(--accent); border-radius: 7px; background: var(--panel); padding: .6rem .9rem; margin: .8rem 0; }
.notice.bad { border-left-color: var(--bad); } [hidden] { display: none !important; }
@media (max-width: 60rem) { .shell { grid-template-columns: minmax(0, 1fr); } nav { display: none; } .two { grid-template-columns: minmax(0, 1fr); gap: 0; } header { position: static; } header #token { width: 100%; }
  details.op > summary { grid-template-columns: 4.4rem 1fr auto; } details.op > summary .what { grid-column: 1 / -1; order: 1; } }
`;
