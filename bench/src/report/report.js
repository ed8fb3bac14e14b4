// Draws the report from the JSON beside it. No library: a few scales, and SVG.
'use strict';
const page = document.documentElement;
const failures = [];
addEventListener('error', (event) => { failures.push(event.message); page.dataset.errors = failures.join(' | '); });

const data = JSON.parse(document.getElementById('data').textContent);
const main = document.querySelector('main');
const plots = [];

// ---- numbers and names -------------------------------------------------------------------------------------------------------

const trim = (value, digits) => String(Number(value.toPrecision(digits)));
function short(value) {
  const steps = [[1e9, ' G'], [1e6, ' M'], [1e3, ' k']];
  for (const [size, unit] of steps) if (Math.abs(value) >= size) return trim(value / size, 3) + unit;
  return trim(value, 3);
}
function time(us) {
  if (us >= 1e6) return trim(us / 1e6, 3) + ' s';
  if (us >= 1e3) return trim(us / 1e3, 3) + ' ms';
  return trim(us, 3) + ' µs';
}
const shown = (value, unit) => (unit === 'bytes' ? (value >= 1e3 ? trim(value / 1e3, 3) + ' kB' : trim(value, 3) + ' B') : unit === 'us' ? time(value) : short(value) + (unit === '1/s' ? '/s' : unit ? ' ' + unit : ''));
const figureName = (name) => ({
  deliveries_per_cpu_s: 'deliveries per CPU-second of the server', deliveries_per_s: 'deliveries per second', acks_per_s: 'acks per second',
  acks_per_cpu_s: 'acks per CPU-second of the server', delivery_p50_us: 'median time to delivery', delivery_p99_us: '99th percentile of the time to delivery',
  connects_per_s: 'connections per second', reads_per_s: 'reads per second', anonymous_bytes_per_connection: 'anonymous memory per idle connection',
  ack_p50_us: 'median time to the ack', ack_p99_us: '99th percentile of the time to the ack',
}[name] || name.replaceAll('_', ' '));

// A system keeps its colour in all plots.
const palette = [
  ['antiphon, signals', '--antiphon-2'], ['antiphon', '--antiphon'], ['floor', '--floor'], ['redis streams, everysec', '--redis-2'], ['redis', '--redis'],
  ['jetstream R3', '--nats-3'], ['jetstream R1, always', '--nats-2'], ['nats', '--nats'], ['jetstream', '--nats'],
  ['rabbitmq classic', '--rabbit-2'], ['rabbitmq', '--rabbit'], ['mosquitto, qos 1', '--mosquitto-2'], ['mosquitto', '--mosquitto'],
];
const colour = (name) => `var(${(palette.find(([start]) => name.startsWith(start)) || ['', '--told'])[1]})`;

// ---- elements ------------------------------------------------------------------------------------------------------------------

function html(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
function svg(tag, attributes = {}, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
function plot(parent, caption, width, height) {
  const root = svg('svg', { class: 'plot', viewBox: `0 0 ${width} ${height}`, role: 'img' });
  const figure = html('figure', {}, html('figcaption', {}, caption), root);
  root.append(svg('title', {}, caption));
  parent.append(figure);
  plots.push({ caption, root });
  return root;
}
const mark = (root, tag, attributes, text) => {
  const element = svg(tag, { 'data-mark': '', ...attributes }, text);
  root.append(element);
  return element;
};
const label = (root, x, y, text, attributes = {}) => root.append(svg('text', { x, y, ...attributes }, text));
const line = (root, x1, y1, x2, y2, kind) => root.append(svg('line', { x1, y1, x2, y2, class: kind }));

const tip = html('div', { class: 'tip', hidden: '' });
document.body.append(tip);
function tell(event, lines) {
  tip.replaceChildren(...lines.map((text) => html('div', {}, text)));
  tip.hidden = false;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  tip.style.left = left + 'px';
  tip.style.top = event.clientY + 14 + 'px';
}
function telling(element, lines) {
  element.addEventListener('mousemove', (event) => tell(event, lines));
  element.addEventListener('mouseleave', () => { tip.hidden = true; });
}

// ---- scales --------------------------------------------------------------------------------------------------------------------

function linear(low, high, from, to) {
  const span = high - low || 1;
  const at = (value) => from + (value - low) / span * (to - from);
  const raw = span / 4;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * size).find((candidate) => candidate >= raw);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) ticks.push(tick);
  return { at, ticks, back: (x) => low + (x - from) / (to - from) * span };
}
function logarithmic(low, high, from, to) {
  const [a, b] = [Math.log10(low), Math.log10(high)];
  const span = b - a || 1;
  const at = (value) => from + (Math.log10(Math.max(value, low)) - a) / span * (to - from);
  const kinds = span < 1.2 ? [1, 2, 5] : span < 2.2 ? [1, 3] : [1];
  const ticks = [];
  for (let decade = Math.floor(a); decade <= b; decade += 1) {
    for (const kind of kinds) {
      const tick = kind * 10 ** decade;
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return { at, ticks, back: (x) => 10 ** (a + (x - from) / (to - from) * span) };
}

// ---- charts --------------------------------------------------------------------------------------------------------------------

// How many times better ours is: above 1 is better, whichever way the figure goes.
const times = (row, ratio) => (row.better === 'lower' ? 1 / ratio : ratio);

function forest(parent, rows) {
  const entries = rows.flatMap((row) => [{ row }, ...row.ratios.map((ratio) => ({ row, ratio }))]);
  const [width, left, right, step] = [1180, 330, 230, 24];
  const height = entries.length * step + 56;
  const root = plot(parent, 'How many times better Antiphon is than each of the others (right of 1: better; the bar is the interval, the tick the goal)', width, height);
  const all = rows.flatMap((row) => row.ratios.flatMap((ratio) => [ratio.ratio, ratio.low, ratio.high, ratio.goal || 1].map((value) => times(row, value))));
  const low = Math.min(0.5, ...all) / 1.2;
  const high = Math.max(2, ...all) * 1.2;
  const x = logarithmic(low, high, left, width - right);
  const bottom = height - 34;
  const ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].filter((tick) => tick >= low && tick <= high);
  for (const tick of ticks) {
    line(root, x.at(tick), 6, x.at(tick), bottom, tick === 1 ? 'one' : 'grid');
    label(root, x.at(tick), bottom + 18, trim(tick, 2) + '×', { 'text-anchor': 'middle' });
  }
  label(root, x.at(1) + 8, height - 2, 'better →');
  label(root, x.at(1) - 8, height - 2, '← worse', { 'text-anchor': 'end' });
  entries.forEach(({ row, ratio }, index) => {
    const y = 14 + index * step;
    if (!ratio) {
      label(root, 0, y + 7, row.title, { class: 'strong' });
      return;
    }
    forestLine(root, row, ratio, x, y, left, width - right);
  });
}
function forestLine(root, row, ratio, x, y, left, end) {
  const [middle, one, other] = [ratio.ratio, ratio.low, ratio.high].map((value) => times(row, value));
  const [low, high] = [Math.min(one, other), Math.max(one, other)];
  const state = ratio.is_met === null ? 'told' : ratio.is_met ? 'good' : 'bad';
  label(root, left - 14, y + 4, ratio.theirs.name, { class: 'name', 'text-anchor': 'end' });
  if (high > low) mark(root, 'rect', { x: x.at(low), y: y - 3, width: Math.max(x.at(high) - x.at(low), 1), height: 6, rx: 3, fill: `var(--${state})`, opacity: 0.35 });
  if (ratio.goal !== null) {
    const goal = x.at(times(row, ratio.goal));
    mark(root, 'line', { x1: goal, y1: y - 9, x2: goal, y2: y + 9, stroke: 'var(--ink)', 'stroke-width': 2 });
  }
  const dot = mark(root, 'circle', { cx: x.at(middle), cy: y, r: 5, fill: `var(--${state})` });
  label(root, end + 64, y + 4, `${trim(middle, 3)}×`, { style: `fill: var(--${state})`, 'text-anchor': 'end' });
  if (ratio.goal !== null) label(root, end + 84, y + 4, `goal ${trim(times(row, ratio.goal), 3)}×${ratio.is_sure ? '' : ', not sure'}`, { style: `fill: var(--${state})` });
  const lines = [`${row.title}`, `ours ${shown(row.ours.value, row.unit)}, ${ratio.theirs.name} ${shown(ratio.theirs.value, row.unit)}`,
    `${trim(low, 3)}× to ${trim(high, 3)}× (${ratio.pairs} pairs)`];
  telling(dot, lines);
}

function bars(parent, group) {
  const systems = group.systems.filter((system) => system.value > 0);
  const [width, step, left] = [420, 28, 162];
  const height = systems.length * step + 14;
  const root = plot(parent, `${figureName(group.figure)} (${group.better === 'lower' ? 'shorter is better' : 'longer is better'})`, width, height);
  const most = Math.max(...systems.map((system) => system.high));
  const x = linear(0, most, left, width - 76);
  systems.forEach((system, index) => {
    const y = 6 + index * step;
    label(root, left - 10, y + 15, system.name, { class: 'name', 'text-anchor': 'end' });
    const bar = mark(root, 'rect', { x: left, y, width: Math.max(x.at(system.value) - left, 1), height: 20, rx: 4, fill: colour(system.name) });
    if (system.high > system.low) line(root, x.at(system.low), y + 10, x.at(system.high), y + 10, 'one');
    label(root, x.at(system.high) + 8, y + 15, shown(system.value, group.unit), { class: 'strong' });
    telling(bar, [system.name, `median ${shown(system.value, group.unit)}`, `from ${shown(system.low, group.unit)} to ${shown(system.high, group.unit)} in ${system.runs} runs`]);
  });
}

// Lines over a shared x: axes, marks, and a cross that tells the values beneath the pointer.
function lines(root, box, x, y, curves, xName, yName, xTicks) {
  const [left, top, right, bottom] = box;
  for (const tick of y.ticks) {
    line(root, left, y.at(tick), right, y.at(tick), 'grid');
    label(root, left - 8, y.at(tick) + 4, yName(tick), { 'text-anchor': 'end' });
  }
  for (const [tick, text] of xTicks) {
    line(root, x.at(tick), top, x.at(tick), bottom, 'grid');
    label(root, x.at(tick), bottom + 17, text, { 'text-anchor': 'middle' });
  }
  line(root, left, bottom, right, bottom, 'axis');
  for (const curve of curves) {
    const path = curve.points.map(([a, b], index) => `${index ? 'L' : 'M'}${x.at(a).toFixed(1)} ${y.at(b).toFixed(1)}`).join('');
    const dash = curve.name.startsWith('floor') ? '5 4' : 'none';
    mark(root, 'path', { d: path, fill: 'none', stroke: colour(curve.name), 'stroke-width': 2.2, 'stroke-dasharray': dash, 'stroke-linejoin': 'round' });
    if (curve.points.length < 8) for (const [a, b] of curve.points) mark(root, 'circle', { cx: x.at(a), cy: y.at(b), r: 3.2, fill: colour(curve.name) });
  }
  const cross = svg('line', { y1: top, y2: bottom, class: 'cross', visibility: 'hidden' });
  const glass = svg('rect', { x: left, y: top, width: right - left, height: bottom - top, fill: 'transparent' });
  root.append(cross, glass);
  glass.addEventListener('mousemove', (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(root.getScreenCTM().inverse()).x;
    const here = x.back(at);
    const told = curves.map((curve) => {
      const near = curve.points.reduce((best, point) => (Math.abs(x.at(point[0]) - at) < Math.abs(x.at(best[0]) - at) ? point : best));
      return `${curve.name}: ${yName(near[1])}`;
    });
    cross.setAttribute('x1', at);
    cross.setAttribute('x2', at);
    cross.setAttribute('visibility', 'visible');
    tell(event, [xName(here), ...told]);
  });
  glass.addEventListener('mouseleave', () => { tip.hidden = true; cross.setAttribute('visibility', 'hidden'); });
}
function legend(parent, curves) {
  const chips = curves.map((curve) => {
    const chip = html('span', {}, html('i', { style: `background: ${colour(curve.name)}` }), curve.name);
    return chip;
  });
  parent.append(html('div', { class: 'legend' }, ...chips));
}
const extent = (curves, place) => {
  const values = curves.flatMap((curve) => curve.points.map((point) => point[place])).filter((value) => value > 0);
  return [Math.min(...values), Math.max(...values)];
};

// x is how rare: 0 for all, 1 for a tenth, 2 for a hundredth, so that tails have room.
const rarity = (share) => -Math.log10(1 - share);
function percentiles(parent, group) {
  const curves = group.systems.filter((system) => system.buckets.length).map((system) => {
    const total = system.buckets.reduce((sum, [, count]) => sum + count, 0);
    const points = [];
    let below = 0;
    for (const [upto, count] of system.buckets) {
      points.push([rarity(Math.min(below / total, 1)), upto]);
      below += count;
      points.push([rarity(Math.min(below / total, 1 - 0.5 / total)), upto]);
    }
    return { name: system.name, points: points.filter(([rare]) => rare <= 5) };
  });
  if (!curves.length) return;
  const [width, height, box] = [420, 270, [58, 10, 408, 236]];
  const root = plot(parent, `${{ connect: 'time to connect and subscribe', history: 'time of a read' }[group.kind] || `time to the ${group.kind}`}, by percentile`, width, height);
  const x = linear(0, Math.max(...curves.flatMap((curve) => curve.points.map(([rare]) => rare))), box[0], box[2]);
  const [low, high] = extent(curves, 1);
  const y = logarithmic(low / 1.3, high * 1.3, box[3], box[1]);
  const ticks = [[0, 'fastest'], [rarity(0.5), '50 %'], [1, '90 %'], [2, '99 %'], [3, '99.9 %'], [4, '99.99 %'], [5, '99.999 %']];
  lines(root, box, x, y, curves, (rare) => `${trim((1 - 10 ** -rare) * 100, 5)} % are faster than`, time, ticks.filter(([tick]) => x.at(tick) <= box[2] + 1 && (tick === 0 || x.at(tick) > box[0] + 48)));
}

function series(parent, group) {
  const curves = group.systems.filter((system) => system.series.length > 1).map((system) => ({ name: system.name, points: system.series }));
  if (!curves.length) return;
  const [width, height, box] = [420, 270, [58, 10, 408, 236]];
  const plural = { ack: 'acks', connect: 'connections', history: 'reads' }[group.kind] || 'deliveries';
  const root = plot(parent, `${plural} per second in the course of a run`, width, height);
  const x = linear(0, extent(curves, 0)[1], box[0], box[2]);
  const y = linear(0, extent(curves, 1)[1] * 1.08, box[3], box[1]);
  lines(root, box, x, y, curves, (at) => `after ${trim(at, 2)} s`, short, x.ticks.map((tick) => [tick, trim(tick, 3) + ' s']));
}

function growth(parent, found) {
  const [width, height, box] = [1180, 380, [84, 10, 1160, 330]];
  const root = plot(parent, `${found.title} (both logarithmic; lower is better)`, width, height);
  const curves = found.systems;
  const [few, many] = extent(curves, 0);
  const [low, high] = extent(curves, 1);
  const x = logarithmic(few / 1.2, many * 1.2, box[0], box[2]);
  const y = logarithmic(low / 1.4, high * 1.4, box[3], box[1]);
  const cost = (value) => (found.unit === 's' ? trim(value, 2) + ' s' : value >= 1e3 ? trim(value / 1e3, 3) + ' kB' : trim(value, 3) + ' B');
  lines(root, box, x, y, curves, (at) => `${short(at)} ${found.x}`, cost, curves[0].points.map(([at]) => [at, short(at)]));
  label(root, (box[0] + box[2]) / 2, height - 8, found.x, { 'text-anchor': 'middle' });
  legend(parent, curves);
}

// ---- the page ------------------------------------------------------------------------------------------------------------------

function head() {
  const toggle = html('button', {}, 'light / dark');
  toggle.addEventListener('click', () => { page.dataset.theme = page.dataset.theme === 'dark' ? 'light' : 'dark'; });
  main.append(html('header', {}, html('h1', {}, data.title), toggle));
  const facts = data.facts.map(([name, value]) => html('li', {}, `${name} `, html('b', {}, value)));
  main.append(html('ul', { class: 'facts' }, ...facts));
}

function tiles() {
  const judged = data.groups.flatMap((group) => group.ratios).filter((ratio) => ratio.is_met !== null);
  if (!judged.length) return;
  const met = judged.filter((ratio) => ratio.is_met);
  const sure = judged.filter((ratio) => ratio.is_sure);
  const tile = (value, text) => html('div', { class: 'tile' }, html('b', {}, String(value)), html('span', {}, text));
  main.append(html('div', { class: 'tiles' }, tile(`${met.length} of ${judged.length}`, 'goals met'), tile(judged.length - met.length, 'goals missed'),
    tile(sure.length, 'verdicts that the whole interval agrees with'), tile(data.not_yet.length, 'goals that cannot be measured yet')));
}

function verdicts(card, group) {
  if (!group.ratios.length) return;
  const rows = group.ratios.map((ratio) => {
    const verdict = ratio.is_met === null ? '' : ratio.is_met ? 'met' : 'missed';
    const goal = ratio.goal === null ? '' : `${ratio.goal_is_least ? 'at least' : 'at most'} ${ratio.goal}`;
    const doubt = verdict && !ratio.is_sure ? `${verdict}, not surely` : verdict;
    return html('tr', {}, html('td', {}, ratio.theirs.name), html('td', { class: 'n' }, shown(ratio.theirs.value, group.unit)), html('td', { class: 'n' }, trim(ratio.ratio, 3)),
      html('td', { class: 'n' }, ratio.coverage ? `${trim(ratio.low, 3)} … ${trim(ratio.high, 3)}` : 'one pair'), html('td', {}, goal), html('td', { class: verdict }, doubt));
  });
  const heads = ['against', 'theirs', 'ours / theirs', 'interval', 'goal', ''].map((text, index) => html('th', index > 0 && index < 4 ? { style: 'text-align: right; padding-right: 18px' } : {}, text));
  card.append(html('table', {}, html('tr', {}, ...heads), ...rows));
}

function circumstances(card, group) {
  const rows = group.systems.map((system) => html('tr', {}, html('td', {}, system.name), html('td', {}, system.acked), html('td', {}, system.is_synced ? 'yes' : 'no'),
    html('td', { class: 'n' }, `${trim(system.busy * 100, 2)} %`), html('td', {}, system.verdict), html('td', {}, system.settings.join('; ') || 'defaults')));
  const heads = ['system', 'an ack means', 'synced before', 'generator busy', 'deliveries', 'settings'].map((text) => html('th', {}, text));
  card.append(html('details', {}, html('summary', {}, 'durability, settings, what the generator had to spare'), html('table', {}, html('tr', {}, ...heads), ...rows)));
}

function groupCard(group) {
  const card = html('section', { class: 'card', id: group.id }, html('h3', {}, group.title), html('div', { class: 'soft' }, group.options));
  const charts = html('div', { class: 'charts' });
  legend(card, group.systems);
  bars(charts, group);
  percentiles(charts, group);
  series(charts, group);
  card.append(charts);
  verdicts(card, group);
  if (group.notes.length) card.append(html('ul', { class: 'notes' }, ...group.notes.map((note) => html('li', {}, note))));
  circumstances(card, group);
  main.append(card);
}

function build() {
  const wanted = location.hash === '#dark' || (location.hash !== '#light' && matchMedia('(prefers-color-scheme: dark)').matches);
  page.dataset.theme = wanted ? 'dark' : 'light';
  head();
  tiles();
  const rows = data.groups.filter((group) => group.ratios.length);
  if (rows.length) {
    main.append(html('h2', {}, 'At a glance'));
    const card = html('section', { class: 'card' });
    main.append(card);
    forest(card, rows);
  }
  if (data.growth.length) main.append(html('h2', {}, 'Growth'));
  for (const found of data.growth) {
    const card = html('section', { class: 'card' });
    growth(card, found);
    card.append(html('p', {}, found.text));
    main.append(card);
  }
  main.append(html('h2', {}, 'Load by load'));
  data.groups.filter((group) => group.systems.length).forEach(groupCard);
  if (data.notes.length) main.append(html('ul', { class: 'notes' }, ...data.notes.map((note) => html('li', {}, note))));
  if (data.not_yet.length) {
    main.append(html('h2', {}, 'Not measured yet'));
    main.append(html('section', { class: 'card' }, html('ul', { class: 'notes' }, ...data.not_yet.map(([what, why]) => html('li', {}, `${what}: ${why}`)))));
  }
  main.append(html('p', {}, data.method));
}

build();
// For whoever checks the page: how many plots there are, and which of them show nothing, or something that is no number.
const broken = plots.filter(({ root }) => !root.querySelector('[data-mark]') || /NaN|Infinity|undefined/.test(root.outerHTML));
page.dataset.broken = broken.map(({ caption }) => caption).join(' | ');
page.dataset.plots = String(plots.length);
