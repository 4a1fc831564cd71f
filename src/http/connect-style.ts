import { createHash } from 'node:crypto';

/** Contrast of text is at least 4.5:1 in both schemes, that of borders and focus rings 3:1 (WCAG 2.2, 1.4.3 and 1.4.11). */
const CSS = `
:root {
  color-scheme: light dark;
  --page: #f4f5f7; --card: #ffffff; --text: #1c2128; --quiet: #57606a; --line: #d0d7de; --edge: #848d97;
  --accent: #0b5cad; --on-accent: #ffffff; --good: #116329; --good-back: #dafbe1; --bad: #a40e26; --bad-back: #ffebe9;
  --warn: #7d4e00; --warn-back: #fff8c5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1318; --card: #181d24; --text: #e6edf3; --quiet: #9aa5b1; --line: #30363d; --edge: #6e7681;
    --accent: #79b8ff; --on-accent: #0b1420; --good: #7ee2a0; --good-back: #12301d; --bad: #ff9d94; --bad-back: #3b1517;
    --warn: #f0c75e; --warn-back: #33270a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 0 1rem 3rem; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, DejaVu Sans, sans-serif;
}
header, main { max-width: 42rem; margin: 0 auto; }
header { padding: 1.25rem 0; color: var(--quiet); font-size: .9rem; overflow-wrap: anywhere; }
.panel { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.5rem; margin: 0 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; }
p:last-child, ul:last-child, dl:last-child { margin-bottom: 0; }
.quiet { color: var(--quiet); }
.who { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .5rem 1rem; margin-bottom: 1.25rem; overflow-wrap: anywhere; }
.top { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .5rem 1rem; margin-bottom: .75rem; }
.state { border-radius: 1rem; padding: .1rem .7rem; font-size: .85rem; font-weight: 600; border: 1px solid currentColor; color: var(--quiet); }
.state.good { color: var(--good); background: var(--good-back); }
.state.warn { color: var(--warn); background: var(--warn-back); }
.state.bad { color: var(--bad); background: var(--bad-back); }
.note { border-left: .3rem solid var(--edge); padding: .1rem 0 .1rem .9rem; }
.note.bad { border-color: var(--bad); }
.note.good { border-color: var(--good); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.25rem; margin: 0 0 1rem; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; margin: 0 0 1rem; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono, monospace; font-size: .9em; overflow-wrap: anywhere; }
.actions { display: flex; flex-wrap: wrap; align-items: center; gap: .75rem; }
form { margin: 0; }
button, .button {
  font: inherit; font-weight: 600; display: inline-block; min-height: 2.75rem; padding: .55rem 1.15rem; border-radius: .5rem;
  border: 1px solid var(--edge); background: transparent; color: var(--text); cursor: pointer; text-decoration: none;
}
button.main, .button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.small { font-size: .9rem; min-height: 2.25rem; padding: .3rem .8rem; }
button:hover, .button:hover { text-decoration: underline; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
@media (max-width: 30rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
  .actions form, .actions button, .actions .button { width: 100%; text-align: center; }
}
`;

/** The style sheet of all pages, and the source that lets it through the Content-Security-Policy. */
export function pageStyle(): { readonly css: string; readonly source: string } {
  return { css: CSS, source: `'sha256-${createHash('sha256').update(CSS, 'utf8').digest('base64')}'` };
}
