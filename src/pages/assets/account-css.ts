/** The stylesheet of the pages. A host's own one follows it, and need only set the custom properties. */
export const ACCOUNT_CSS = `:root {
  color-scheme: light dark;
  --lk-background: #f6f6f4;
  --lk-surface: #ffffff;
  --lk-text: #1d1f23;
  --lk-quiet: #565b64;
  --lk-line: #868c96;
  --lk-accent: #1f57c3;
  --lk-on-accent: #ffffff;
  --lk-danger: #b3221b;
  --lk-danger-surface: #fdf0ef;
  --lk-good-surface: #eef6f0;
  --lk-radius: 0.5rem;
  --lk-width: 27rem;
  --lk-font: system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --lk-background: #15171a;
    --lk-surface: #1e2125;
    --lk-text: #eceef1;
    --lk-quiet: #aab0ba;
    --lk-line: #717883;
    --lk-accent: #9dbcff;
    --lk-on-accent: #10203f;
    --lk-danger: #ff9d95;
    --lk-danger-surface: #3a2220;
    --lk-good-surface: #1d3126;
  }
}
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--lk-background); color: var(--lk-text); font: 1rem/1.5 var(--lk-font); overflow-wrap: anywhere; }
.lk-skip { position: absolute; left: -100vw; }
.lk-skip:focus { left: 1rem; top: 1rem; padding: 0.5rem 1rem; background: var(--lk-surface); }
.lk-main { max-width: var(--lk-width); margin: 0 auto; padding: clamp(1rem, 8vh, 5rem) 1rem 3rem; }
.lk-wide { --lk-width: 42rem; }
.lk-card { background: var(--lk-surface); border: 1px solid color-mix(in srgb, var(--lk-line) 40%, transparent); border-radius: calc(var(--lk-radius) * 1.5); padding: clamp(1rem, 5vw, 2rem); }
.lk-card + .lk-card { margin-top: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1.25rem; letter-spacing: -0.01em; }
h2 { font-size: 1.1rem; line-height: 1.3; margin: 0 0 0.75rem; }
h1:focus { outline: none; }
p { margin: 0 0 1rem; }
a { color: var(--lk-accent); text-underline-offset: 0.15em; }
:focus-visible { outline: 3px solid var(--lk-accent); outline-offset: 2px; }
.lk-quiet, .lk-hint { color: var(--lk-quiet); font-size: 0.9rem; }
.lk-field { margin: 0 0 1.1rem; }
.lk-field label, .lk-legend { display: block; font-weight: 600; margin: 0 0 0.3rem; padding: 0; }
.lk-hint, .lk-error { margin: 0.3rem 0 0; }
.lk-error { color: var(--lk-danger); font-weight: 600; font-size: 0.9rem; }
input:not([type='checkbox'], [type='radio']) { width: 100%; min-height: 2.75rem; padding: 0.5rem 0.75rem; font: inherit; color: inherit; background: var(--lk-surface); border: 1px solid var(--lk-line); border-radius: var(--lk-radius); }
input[aria-invalid='true'] { border-color: var(--lk-danger); border-width: 2px; }
.lk-code { font-variant-numeric: tabular-nums; letter-spacing: 0.1em; }
.lk-check { display: flex; gap: 0.6rem; align-items: baseline; margin: 0 0 0.6rem; }
.lk-check input { width: 1.1rem; height: 1.1rem; flex: none; accent-color: var(--lk-accent); transform: translateY(0.15rem); }
fieldset { border: 0; margin: 0 0 1.1rem; padding: 0; min-width: 0; }
button, .lk-button { display: inline-block; min-height: 2.75rem; padding: 0.55rem 1.1rem; font: inherit; font-weight: 600; text-align: center; text-decoration: none; color: var(--lk-accent); background: transparent; border: 1px solid var(--lk-line); border-radius: var(--lk-radius); cursor: pointer; max-width: 100%; }
button.lk-primary { color: var(--lk-on-accent); background: var(--lk-accent); border-color: var(--lk-accent); }
button.lk-danger { color: var(--lk-danger); }
button.lk-wide-button { width: 100%; }
button:hover, .lk-button:hover { filter: brightness(0.94); }
.lk-or { display: flex; align-items: center; gap: 0.75rem; margin: 1.25rem 0; color: var(--lk-quiet); }
.lk-or::before, .lk-or::after { content: ''; height: 1px; flex: 1; background: var(--lk-line); opacity: 0.5; }
.lk-or:has(+ .lk-ways > [hidden]:only-child) { display: none; }
.lk-ways { display: grid; gap: 0.75rem; }
.lk-ways p { margin: 0; }
.lk-links { margin: 1.25rem 0 0; }
.lk-links p { margin: 0 0 0.4rem; }
.lk-note { padding: 0.75rem 1rem; margin: 0 0 1.25rem; border-radius: var(--lk-radius); background: var(--lk-good-surface); border-left: 4px solid var(--lk-accent); }
.lk-alert { background: var(--lk-danger-surface); border-left-color: var(--lk-danger); }
.lk-list { list-style: none; margin: 0; padding: 0; }
.lk-list > li { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; justify-content: space-between; padding: 0.75rem 0; border-top: 1px solid color-mix(in srgb, var(--lk-line) 40%, transparent); }
.lk-list > li:first-child { border-top: 0; padding-top: 0; }
.lk-list > li > div { flex: 1 1 8rem; }
.lk-list form { margin: 0; }
.lk-list > li > div, .lk-facts dd { min-width: 0; overflow-wrap: anywhere; }
.lk-facts { margin: 0 0 1rem; }
.lk-facts dt { color: var(--lk-quiet); font-size: 0.9rem; }
.lk-facts dd { margin: 0 0 0.5rem; }
.lk-list summary { display: inline-block; padding: 0.25rem 0; color: var(--lk-accent); text-decoration: underline; text-underline-offset: 0.15em; cursor: pointer; }
.lk-list details > form { margin-top: 0.5rem; }
.lk-badge { display: inline-block; padding: 0 0.5rem; border-radius: 1rem; font-size: 0.85rem; font-weight: 600; background: var(--lk-good-surface); }
.lk-actions { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: center; margin-top: 1rem; }
.lk-actions form { margin: 0; }
.lk-qr { display: block; width: min(100%, 14rem); height: auto; margin: 0 auto 1rem; background: #ffffff; border-radius: var(--lk-radius); }
.lk-codes { columns: 2; font-family: ui-monospace, monospace; list-style: none; padding: 1rem; margin: 0 0 1rem; background: var(--lk-background); border-radius: var(--lk-radius); }
.lk-secret { font-family: ui-monospace, monospace; }
@media (max-width: 26rem) { .lk-codes { columns: 1; } }
@media (prefers-reduced-motion: no-preference) { button { transition: filter 0.1s; } }
`;
