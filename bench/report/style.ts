// How the report looks: one column of text, plots in one or two columns beside each other, light or dark as the reader's
// system is, and legible on paper. No font and no picture is loaded. Colours have a name each, and two values.

export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #fbfbf9; --surface: #ffffff; --text: #1d1f23; --soft: #5c626b; --line: #e2e2dd;
  --grid: #ebebe6; --axis: #9a9da3; --shade: #cfcfc9; --error: #1d1f23; --accent: #00705a; --accent-soft: #e4f2ed;
  --warn: #8a5a00; --warn-soft: #fbf1dc;
  --limit: #6b6f76; --other: #8b95a5;
  --series-1: #b8480a; --series-2: #0a62ab; --series-3: #00785a; --series-4: #9b3f86;
  --series-5: #8a6a00; --series-6: #2b7f9e; --series-7: #5d5f66;
  --cost-kernel: #3f6c9e; --cost-copying: #d4590e; --cost-framing: #e8b93a; --cost-hashing: #8a5a9e; --cost-writing: #26917f;
  --on-kernel: #fff; --on-copying: #fff; --on-framing: #2a2100; --on-hashing: #fff; --on-writing: #fff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #141619; --surface: #1b1e22; --text: #e8e8e4; --soft: #a2a8b1; --line: #2e3238;
    --grid: #2a2e34; --axis: #6a7079; --shade: #4a5058; --error: #f2f2ee; --accent: #4fcfa9; --accent-soft: #16302a;
    --warn: #e5b454; --warn-soft: #33291a;
    --limit: #a1a6ae; --other: #717c8c;
    --series-1: #f08a4b; --series-2: #66b2f2; --series-3: #3cc99c; --series-4: #e08fcd;
    --series-5: #d9b53f; --series-6: #6fc8e4; --series-7: #b5b8bf;
    --cost-kernel: #5b8cc4; --cost-copying: #ea7a35; --cost-framing: #e8c25a; --cost-hashing: #a97fc0; --cost-writing: #3fb09c;
    --on-kernel: #0c1420; --on-copying: #241002; --on-framing: #2a2100; --on-hashing: #170c1d; --on-writing: #04211c;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.55 Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  font-feature-settings: "tnum" 0;
}
main, header, footer { max-width: 1104px; margin: 0 auto; padding: 0 32px; }
header { padding-top: 56px; }
.eyebrow { margin: 0 0 12px; max-width: none; color: var(--soft); font-size: 14px; letter-spacing: 0.01em; }
.eyebrow b { color: var(--text); font-weight: 650; }
h1 { margin: 0; max-width: 24em; font-size: clamp(26px, 3.6vw, 38px); line-height: 1.22; font-weight: 680; letter-spacing: -0.018em; text-wrap: balance; }
h2 { margin: 72px 0 8px; padding-top: 20px; border-top: 1px solid var(--line); font-size: 24px; line-height: 1.3; font-weight: 660; letter-spacing: -0.012em; }
h3 { margin: 32px 0 4px; font-size: 17px; font-weight: 650; }
h2, h3 { overflow-wrap: anywhere; }
p, li { max-width: 44em; text-wrap: pretty; }
p { margin: 8px 0; }
a { color: var(--accent); text-underline-offset: 2px; }
.soft { color: var(--soft); }
.small { font-size: 14px; }
.caveats { max-width: none; }
code { font: 0.88em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.settings { margin: 36px 0 0; display: grid; gap: 0; border-top: 1px solid var(--line); padding: 0; }
.settings > div { display: grid; grid-template-columns: 11em 11em minmax(0, 1fr); gap: 4px 24px; padding: 14px 0; border-bottom: 1px solid var(--line); }
.settings dt { color: var(--soft); }
.settings dd { margin: 0; }
.settings .value { font-weight: 660; font-size: 17px; line-height: 1.45; }
.settings .value code { display: block; margin-top: 2px; color: var(--soft); font-weight: 400; font-size: 12.5px; }
.settings .why { font-size: 15px; max-width: 42em; }
.settings .where { display: block; margin-top: 2px; color: var(--soft); font-size: 13px; }
.mark { display: inline-block; margin-right: 8px; padding: 0 7px; border-radius: 9px; background: var(--accent-soft); color: var(--accent); font-size: 12px; line-height: 19px; font-weight: 600; white-space: nowrap; }
.mark.tied, .mark.uncertain { background: var(--warn-soft); color: var(--warn); }
.findings { margin: 18px 0 0; padding: 0; list-style: none; columns: 2 26em; column-gap: 48px; }
.findings li { margin: 0 0 14px; padding-left: 16px; border-left: 2px solid var(--line); break-inside: avoid; font-size: 15px; }
.plots { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 28px; margin-top: 20px; }
figure { margin: 0; padding: 20px 18px 14px; background: var(--surface); border: 1px solid var(--line); border-radius: 10px; min-width: 0; break-inside: avoid; }
figure.full { grid-column: 1 / -1; padding: 22px 24px 16px; }
figure.full figcaption p { max-width: 60em; }
figure h3 { margin: 0 0 2px; font-size: 16px; }
figcaption { margin: 0 0 10px; color: var(--soft); font-size: 14px; line-height: 1.45; }
figcaption p { margin: 2px 0; }
.key { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 6px 0 0; padding: 0; list-style: none; color: var(--text); font-size: 13px; }
.key li::before { content: ""; display: inline-block; width: 11px; height: 11px; margin-right: 6px; border-radius: 2px; background: var(--swatch); }
svg.plot { display: block; max-width: 100%; height: auto; overflow: visible; color: var(--soft); font-family: inherit; font-size: 12px; }
svg.plot text { white-space: pre; }
.drawing { display: none; }
.drawing.wide { display: block; }
.scroll { overflow-x: auto; margin: 12px 0 0; border: 1px solid var(--line); border-radius: 10px;
  background: linear-gradient(to right, var(--surface) 50%, transparent) 0 0 / 56px 100% no-repeat local,
    linear-gradient(to left, var(--surface) 50%, transparent) 100% 0 / 56px 100% no-repeat local,
    linear-gradient(to right, var(--shade), transparent) 0 0 / 18px 100% no-repeat scroll,
    linear-gradient(to left, var(--shade), transparent) 100% 0 / 18px 100% no-repeat scroll, var(--surface); }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; line-height: 1.4; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; text-align: left; vertical-align: baseline; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1px solid var(--axis); }
th span { display: block; color: var(--soft); font-weight: 400; font-size: 12px; }
tbody th { border-bottom: 0; font-weight: 400; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
tbody tr.strong > * { font-weight: 650; }
.number { text-align: right; }
td.wrap, th.wrap { white-space: normal; min-width: 16em; overflow-wrap: anywhere; }
td small { color: var(--soft); font-size: 11.5px; font-weight: 400; }
td.number small { display: block; }
tr.sure.less td.verdict { color: var(--accent); font-weight: 650; }
tr.sure.more td.verdict { color: var(--series-1); font-weight: 650; }
details { margin-top: 14px; }
summary { cursor: pointer; font-weight: 600; }
dl.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 4px 24px; margin: 16px 0; }
dl.facts dt { color: var(--soft); }
dl.facts dd { margin: 0; overflow-wrap: anywhere; }
pre { margin: 12px 0; padding: 14px 16px; background: var(--surface); border: 1px solid var(--line); border-radius: 10px; overflow-x: auto; font: 13px/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
footer { padding-top: 48px; padding-bottom: 64px; }
@media (max-width: 1119px) {
  .plots { grid-template-columns: minmax(0, 1fr); }
  .drawing.wide { display: none; }
  .drawing.middle { display: block; }
}
@media (max-width: 719px) {
  main, header, footer { padding-left: 18px; padding-right: 18px; }
  header { padding-top: 32px; }
  h2 { margin-top: 52px; }
  .settings > div { grid-template-columns: minmax(0, 1fr); gap: 2px; }
  figure, figure.full { padding: 16px 12px 10px; }
  .drawing.middle { display: none; }
  .drawing.narrow { display: block; }
  dl.facts { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dl.facts dd { margin-bottom: 8px; }
}
@media print {
  :root { color-scheme: light; }
  body { font-size: 12px; background: #fff; }
  main, header, footer { max-width: none; padding: 0; }
  .plots { grid-template-columns: minmax(0, 1fr); gap: 16px; }
  h2 { break-after: avoid; margin-top: 32px; }
  .scroll { overflow: visible; border: 0; background: none; }
  table { font-size: 8px; }
  th, td { padding: 3px 5px; white-space: normal; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
