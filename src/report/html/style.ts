/** The page's style sheet: the same page in light, in dark, on a phone and on paper. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #fbfaf8; --card: #ffffff; --text: #1d2330; --faint: #5d6675; --line: #dcdfe5;
  --ipv4: #d98a2b; --ipv6: #2f78c4; --limit: #c02d4c; --on-bar: #10141c;
  --good: #1e7a46; --good-back: #dff3e6; --bad: #b3261e; --bad-back: #fde3e0; --part: #8a5a00; --part-back: #fdf0d2;
  --none-back: #eef0f3;
  --user: #5b8ff0; --system: #e0a33a; --softirq: #d24b6a; --irq: #8d6bd0; --steal: #7d8694;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171d; --card: #1c2028; --text: #e7eaf0; --faint: #9aa4b5; --line: #343b48;
    --ipv4: #e09a43; --ipv6: #5aa0e8; --limit: #ff6d86; --on-bar: #10141c;
    --good: #7ddba2; --good-back: #173626; --bad: #ff9d94; --bad-back: #451b1a; --part: #f3c969; --part-back: #3d2f10;
    --none-back: #252b35;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 1.2rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.6rem 0 0.2rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 0.6rem; }
h3 { font-size: 1rem; margin: 0 0 0.4rem; }
p { margin: 0.4rem 0; }
.faint, figcaption { color: var(--faint); font-size: 0.9rem; }
.findings { margin: 1rem 0; padding: 0; list-style: none; }
.findings li { border-left: 4px solid var(--line); background: var(--card); padding: 0.5rem 0.8rem; margin: 0.4rem 0; }
.findings .broken { border-color: var(--bad); }
.findings .healthy { border-color: var(--good); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; background: var(--card); }
th, td { text-align: left; padding: 0.3rem 0.7rem; border: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.heat th, .heat td { padding: 0.3rem 0.4rem; font-size: 0.85rem; }
.heat td { text-align: center; min-width: 4.4rem; }
.healthy-cell { background: var(--good-back); color: var(--good); }
.broken-cell { background: var(--bad-back); color: var(--bad); font-weight: 600; }
.partly-cell { background: var(--part-back); color: var(--part); font-weight: 600; }
.none-cell { background: var(--none-back); color: var(--faint); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); gap: 1rem; }
figure { margin: 0; padding: 0.8rem; background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
figure svg { width: 100%; height: auto; display: block; }
details { background: var(--card); border: 1px solid var(--line); border-radius: 6px; margin: 0.5rem 0; padding: 0.4rem 0.8rem; }
summary { cursor: pointer; }
details[open] > summary { margin-bottom: 0.5rem; }
pre { overflow-x: auto; font-size: 0.8rem; background: var(--none-back); padding: 0.6rem; border-radius: 4px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.1rem 1rem; margin: 0; font-size: 0.9rem; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 0.4rem; } }
@media print { details { break-inside: avoid; } }
`
