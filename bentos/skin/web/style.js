/**
 * The looks of <shine-analysis>. An app changes them by custom properties on the element or above it:
 *
 *   --shine-font      text                      --shine-accent     bars, links, what is chosen
 *   --shine-text      text's colour             --shine-on-accent  text upon the accent
 *   --shine-muted     less important text       --shine-warn       banner's ground; its text: --shine-on-warn
 *   --shine-card      ground of the cards       --shine-fault      ground of an error; its text: --shine-on-fault
 *   --shine-track     ground of bars            --shine-mark       lesions and zones in the photo
 *   --shine-line      borders                   --shine-radius     of corners
 *
 * Whoever sets a colour sets it for light and dark.
 */

const LIGHT = `
  --text: var(--shine-text, #18212b); --muted: var(--shine-muted, #566270); --card: var(--shine-card, #ffffff);
  --track: var(--shine-track, #e9edf1); --line: var(--shine-line, #dce2e8); --accent: var(--shine-accent, #0b6b6f);
  --on-accent: var(--shine-on-accent, #ffffff); --warn: var(--shine-warn, #fff1d6);
  --on-warn: var(--shine-on-warn, #5c3a00); --warn-line: #d98a1f; --fault: var(--shine-fault, #fdecec);
  --on-fault: var(--shine-on-fault, #8a1c1c); --fault-line: #d35454;
`;
const DARK = `
  --text: var(--shine-text, #e7ecf1); --muted: var(--shine-muted, #a3afbc); --card: var(--shine-card, #1a2129);
  --track: var(--shine-track, #2d3742); --line: var(--shine-line, #313c48); --accent: var(--shine-accent, #5ccbc6);
  --on-accent: var(--shine-on-accent, #06282a); --warn: var(--shine-warn, #3a2b10);
  --on-warn: var(--shine-on-warn, #ffdfa6); --warn-line: #c98a2b; --fault: var(--shine-fault, #3b1a1d);
  --on-fault: var(--shine-on-fault, #ffc4c4); --fault-line: #b14a50;
`;

const BASE = `
:host { ${LIGHT} --mark: var(--shine-mark, #ffd400); --radius: var(--shine-radius, 14px);
  display: block; container-type: inline-size; color-scheme: light dark; color: var(--text); text-align: start;
  font: 400 1rem/1.5 var(--shine-font, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif); }
@media (prefers-color-scheme: dark) { :host { ${DARK} } }
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
h2, h3, p, ul, dl, dd, figure, fieldset { margin: 0; padding: 0; border: 0; }
h2 { font-size: 1.25rem; line-height: 1.3; font-weight: 650; letter-spacing: -.01em; }
h3 { font-size: 1rem; font-weight: 620; }
ul { list-style: none; }
.hidden:not(:focus) { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.muted { color: var(--muted); }
.small { font-size: .875rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: var(--radius); padding: 1.125rem; }
[lang]:focus { outline: none; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button { font: inherit; color: inherit; background: none; border: 1px solid var(--line); border-radius: 999px;
  padding: .25rem .8rem; min-height: 2rem; cursor: pointer; }
button:hover { border-color: var(--accent); }
button[aria-pressed="true"], button.main { background: var(--accent); border-color: var(--accent);
  color: var(--on-accent); }
button.main { padding: .5rem 1.25rem; font-weight: 600; }
.layout { display: grid; gap: 1.5rem; grid-template-columns: minmax(0, 1fr); }
.banner + .layout, .empty + .layout { margin-top: 1.25rem; }
@container (min-width: 54rem) {
  .layout { grid-template-columns: minmax(0, 5fr) minmax(0, 7fr); gap: 2rem; align-items: start; }
  .picture { position: sticky; top: 1rem; }
  .layout .stage canvas { max-height: min(58vh, 46rem); }
}
@media print {
  .picture { position: static !important; }
  .layers, .caption, button { display: none !important; }
  .card { break-inside: avoid; }
}
`;

const PICTURE = `
.picture { display: grid; gap: .875rem; min-width: 0; }
.stage { position: relative; display: grid; justify-self: center; max-width: 100%; overflow: hidden;
  border-radius: var(--radius); background: var(--track); }
.stage > * { grid-area: 1 / 1; }
.stage canvas { display: block; max-width: 100%; max-height: min(78vh, 46rem); width: auto; height: auto; }
.stage .heat, .marks, .marks svg { position: absolute; inset: 0; width: 100%; height: 100%; max-height: none; }
.stage .heat { pointer-events: none; opacity: .8; }
.stage p { padding: 3rem 1.25rem; color: var(--muted); }
svg [role="option"] { cursor: pointer; outline: none; }
svg .rim, svg .ink { fill: none; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
svg .hit { fill: transparent; stroke: none; pointer-events: all; }
svg .rim { stroke: #000; stroke-opacity: .6; stroke-width: 3.5px; }
svg .ink { stroke: var(--mark); stroke-width: 1.75px; }
svg .zone .rim { stroke-width: 2.5px; stroke-opacity: .35; }
svg .zone .ink { stroke: #fff; stroke-width: 1.25px; stroke-dasharray: 4 4; }
svg .lit .rim { stroke-width: 7px; stroke-opacity: .85; }
svg .lit .ink { stroke: #fff; stroke-width: 3.5px; stroke-dasharray: none; }
svg .zone.lit .hit { fill: #fff; fill-opacity: .18; }
svg .off .rim, svg .off .ink { visibility: hidden; }
svg .off.lit .rim, svg .off.lit .ink { visibility: visible; }
svg .halo, svg .ring { fill: none; stroke: none; vector-effect: non-scaling-stroke; }
svg .lesion:focus-visible .halo, svg .zone:focus-visible .rim { stroke: #000; stroke-opacity: 1; stroke-width: 10px; }
svg .lesion:focus-visible .ring, svg .zone:focus-visible .ink { stroke: #fff; stroke-width: 5px; }
.caption, .sides { min-height: 1.5em; text-align: center; }
.caption + .sides { margin-top: -.625rem; }
.layers { display: grid; gap: .75rem; }
.layers fieldset { display: grid; grid-template-columns: 6.5rem minmax(0, 1fr); align-items: baseline; min-width: 0; }
.layers legend { float: left; padding: 0; color: var(--muted); font-size: .875rem; }
.layers fieldset div { display: flex; flex-wrap: wrap; gap: .375rem; }
.choice { position: relative; }
.choice input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: pointer; }
.choice span { display: inline-flex; align-items: center; gap: .4em; min-height: 2rem; padding: .2rem .75rem;
  border: 1px solid var(--line); border-radius: 999px; background: var(--card); font-size: .875rem; }
.choice span::before { content: ""; width: .55em; height: .55em; border-radius: 50%; border: 1.5px solid currentColor; }
.choice input[type="checkbox"] + span::before { border-radius: 2px; }
.choice input:checked + span { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
.choice input:checked + span::before { background: currentColor; }
.choice input:hover:enabled + span { border-color: var(--accent); }
.choice input:focus-visible + span { outline: 3px solid var(--accent); outline-offset: 2px; }
.choice input:disabled { cursor: default; }
.choice input:disabled + span { color: var(--muted); text-decoration: line-through; border-style: dashed; }
.ramp:not([hidden]) { display: flex; align-items: center; gap: .6rem; padding-inline-start: 6.5rem; }
.ramp i { flex: 1; max-width: 12rem; height: .6rem; border-radius: 999px; border: 1px solid var(--line);
  background: linear-gradient(to right, rgb(0 32 76 / 0), rgb(0 50 110), rgb(124 123 120), rgb(255 233 69)); }
@container (max-width: 30rem) {
  .layers fieldset { grid-template-columns: minmax(0, 1fr); gap: .375rem; }
  .ramp:not([hidden]) { padding-inline-start: 0; }
}
@media (forced-colors: active) {
  .stage, .ramp i { forced-color-adjust: none; }
  .choice input:checked + span, button[aria-pressed="true"] { forced-color-adjust: none; background: Highlight;
    color: HighlightText; }
}
`;

const FINDINGS = `
.findings, .concerns { display: grid; gap: 1rem; min-width: 0; }
.concerns { grid-template-columns: repeat(auto-fit, minmax(min(16.5rem, 100%), 1fr)); }
.concern { display: grid; gap: .625rem; align-content: start; transition: border-color .15s; min-width: 0; }
.concern.lit { border-color: var(--accent); }
.head { display: flex; align-items: baseline; justify-content: space-between; gap: .75rem; }
.score { font-size: 1.75rem; line-height: 1; font-weight: 650; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.score small { font-size: .875rem; font-weight: 400; letter-spacing: 0; color: var(--muted); }
.bar { height: .625rem; border-radius: 999px; background: var(--track); overflow: hidden; }
.bar i { display: block; height: 100%; border-radius: inherit; background: var(--accent); }
.scale { display: flex; justify-content: space-between; margin-top: .25rem; color: var(--muted); font-size: .8125rem; }
.foot { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; justify-content: space-between; }
.tag { display: inline-block; padding: .1rem .6rem; border-radius: 999px; background: var(--track);
  font-size: .875rem; font-weight: 600; white-space: nowrap; }
.rows { display: grid; grid-template-columns: fit-content(60%) minmax(2.5rem, 1fr) 2.5rem; gap: .125rem .75rem;
  margin-inline: -.5rem; }
.row { grid-column: 1 / -1; display: grid; grid-template-columns: subgrid; align-items: center;
  padding: .2rem .5rem; border-radius: 8px; font-size: .9375rem; cursor: default; }
.row .bar { height: .375rem; }
.row b { font-weight: 500; text-align: end; font-variant-numeric: tabular-nums; }
.row .why { grid-column: 2 / -1; text-align: end; color: var(--muted); font-size: .875rem; }
.row.lit, .chips .lit { background: var(--track); box-shadow: inset 0 0 0 2px var(--accent); }
.chips { display: flex; flex-wrap: wrap; gap: .375rem; max-height: 9.5rem; overflow-y: auto; padding: 3px;
  margin-inline: -3px; position: relative; }
.chips li { padding: .1rem .55rem; border: 1px solid var(--line); border-radius: 8px; font-size: .875rem;
  font-variant-numeric: tabular-nums; cursor: default; }
.swatches { display: grid; grid-template-columns: repeat(6, 1fr); gap: .375rem; }
.swatches svg { display: block; width: 100%; height: 1.75rem; overflow: visible; }
.swatches rect { stroke: var(--line); stroke-width: 1px; }
.swatches .chosen rect { stroke: var(--accent); stroke-width: 3px; }
.swatches li { text-align: center; }
.swatches .chosen::after { content: "▲"; color: var(--accent); font-size: .75rem; line-height: 1; }
.advice { display: grid; gap: .375rem; padding-inline-start: 1.1rem; list-style: disc; }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
@media (forced-colors: active) {
  .bar { border: 1px solid CanvasText; forced-color-adjust: none; background: Canvas; }
  .bar i { background: Highlight; }
  .row.lit, .chips .lit { outline: 2px solid Highlight; }
  .swatches svg { forced-color-adjust: none; }
}
`;

const NOTICES = `
.banner, .fault, .empty { border-radius: var(--radius); padding: 1.125rem 1.25rem; display: grid; gap: .625rem; }
.banner, .empty { background: var(--warn); color: var(--on-warn); border: 2px solid var(--warn-line); }
.fault { background: var(--fault); color: var(--on-fault); border: 2px solid var(--fault-line); justify-items: start; }
.banner h2::before { content: "⚠\\FE0E"; margin-inline-end: .5rem; }
.banner table { border-collapse: collapse; width: 100%; max-width: 40rem; font-size: .9375rem; }
.banner caption { text-align: start; padding-bottom: .25rem; font-weight: 600; }
.banner th, .banner td { text-align: start; padding: .3rem .75rem .3rem 0; font-weight: 400; vertical-align: top;
  border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
.banner thead th { font-weight: 600; border: 0; }
.banner td { font-variant-numeric: tabular-nums; white-space: nowrap; }
.working { display: grid; gap: .75rem; justify-items: center; text-align: center; padding: 3rem 1.25rem; }
@container (max-width: 30rem) {
  .banner, .fault, .empty { padding: .875rem 1rem; }
  .banner table { font-size: .8125rem; }
  .banner th, .banner td { padding-inline-end: .5rem; }
  .banner :is(th, td):last-child { padding-inline-end: 0; }
}
progress { width: min(22rem, 100%); height: .625rem; accent-color: var(--accent); }
.about { margin-top: 1.5rem; display: grid; gap: .5rem; color: var(--muted); font-size: .875rem; }
.about dl { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; }
.about dl div { display: flex; flex-wrap: wrap; gap: .4rem; min-width: 0; }
.about dt::after { content: ":"; }
.about dd { color: var(--text); overflow-wrap: anywhere; }
`;

export const STYLES = BASE + PICTURE + FINDINGS + NOTICES;
