/* What the node does now and did lately. */
(function () {
  'use strict';

  const { rtmConsole } = self;
  const { h, fill, bytes, count } = rtmConsole;
  const perSecond = (value) => `${count(value)}/s`;
  const milliseconds = (value) => `${value >= 10 ? Math.round(value) : Number(value.toFixed(2))} ms`;
  const percent = (value) => `${Math.round(value * 100)} %`;
  const KEPT = { seconds: 900, minutes: 1440 };

  const CHARTS = [
    { title: 'Messages', format: perSecond, series: [{ column: 'publicationsPerS' }] },
    { title: 'Deliveries', format: perSecond, series: [{ column: 'deliveriesPerS' }] },
    { title: 'Connections', format: count, series: [{ column: 'connections' }] },
    { title: 'Log latency', format: milliseconds,
      series: [{ column: 'appendMs', label: 'mean' }, { column: 'appendP95Ms', label: 'p95' }] },
    { title: 'Fan-out', format: milliseconds, series: [{ column: 'fanoutMs' }] },
    { title: 'Event loop behind', format: milliseconds, series: [{ column: 'lagMs' }] },
    { title: 'Memory', format: bytes,
      series: [{ column: 'memoryBytes', label: 'process' }, { column: 'logBytes', label: 'log' }] },
    { title: 'CPU', format: percent, series: [{ column: 'cpu' }] },
    { title: 'Refused', format: perSecond, series: [{ column: 'refusalsPerS' }] },
  ];

  const TILES = [
    ['Connections', (row) => count(row.connections), '#/connections'],
    ['Users', (row) => count(row.users), '#/users'],
    ['Subscriptions', (row) => count(row.subscriptions), '#/channels'],
    ['Messages', (row) => perSecond(row.publicationsPerS), null],
    ['Deliveries', (row) => perSecond(row.deliveriesPerS), null],
    ['Sent', (row) => `${bytes(row.bytesPerS)}/s`, null],
    ['Slow readers', (row) => (row.slowConnections ? `${count(row.slowConnections)}, ${bytes(row.waitingBytes)} wait`
      : 'none'), '#/connections'],
    ['Memory', (row) => bytes(row.memoryBytes), null],
  ];

  /** Rows of figures as they came; kept while the page is open, whichever of its parts is looked at. */
  const figures = { columns: [], seconds: [], minutes: [], minute: 0 };

  function take({ columns, seconds, minutes }) {
    Object.assign(figures, { columns, seconds, minutes });
  }

  function add(row) {
    figures.seconds.push(row);
    if (figures.seconds.length > KEPT.seconds) figures.seconds.shift();
  }

  function asObject(row) {
    return Object.fromEntries(figures.columns.map((column, i) => [column, row[i]]));
  }

  class Overview {
    constructor() {
      this.range = 'seconds';
      this.asTable = false;
      this.charts = CHARTS.map((one) => new rtmConsole.Chart(one));
      this.values = TILES.map(([, , href]) => (href ? h('a', { href }) : h('span', null)));
      this.tiles = h('dl', { class: 'tiles' }, TILES.map(([title], i) =>
        h('div', { class: 'tile' }, h('dt', null, title), h('dd', null, this.values[i]))));
      this.range15 = h('button', { type: 'button', onclick: () => this.setRange('seconds') }, '15 minutes');
      this.range24 = h('button', { type: 'button', onclick: () => this.setRange('minutes') }, '24 hours');
      this.kind = h('button', { type: 'button', onclick: () => this.setTable(!this.asTable) }, 'Show tables');
      this.note = h('p', { class: 'warning', hidden: true },
        'The chart library is not installed, so the figures are shown as tables (docs/console.md says how to get it).');
    }

    open(place) {
      fill(place,
        h('div', { class: 'head' }, h('h1', { tabindex: '-1' }, 'Overview'),
          h('div', { class: 'buttons', role: 'group', 'aria-label': 'Charts' }, this.range15, this.range24, this.kind)),
        this.tiles, this.note, h('div', { class: 'charts' }, this.charts.map((chart) => chart.element)));
      this.setRange(this.range);
      this.note.hidden = Boolean(self.uPlot);
      this.kind.hidden = !self.uPlot;
      this.onResize = () => this.charts.forEach((chart) => chart.resize());
      this.onScheme = () => {
        this.charts.forEach((chart) => chart.drop());
        this.draw();
      };
      this.scheme = self.matchMedia('(prefers-color-scheme: dark)');
      self.addEventListener('resize', this.onResize);
      this.scheme.addEventListener('change', this.onScheme);
      rtmConsole.get('figures').then((answer) => {
        take(answer);
        this.draw();
      }, (failure) => rtmConsole.toast(failure.message, true));
    }

    close() {
      self.removeEventListener('resize', this.onResize);
      this.scheme.removeEventListener('change', this.onScheme);
      this.charts.forEach((chart) => chart.drop());
    }

    setRange(range) {
      this.range = range;
      this.range15.setAttribute('aria-pressed', String(range === 'seconds'));
      this.range24.setAttribute('aria-pressed', String(range === 'minutes'));
      this.draw();
    }

    setTable(asTable) {
      this.asTable = asTable;
      this.kind.setAttribute('aria-pressed', String(asTable));
      this.draw();
    }

    onFigures() {
      if (this.range === 'seconds') this.draw();
    }

    draw() {
      if (!figures.columns.length) return;
      const rows = figures[this.range];
      const places = Object.fromEntries(figures.columns.map((column, i) => [column, i]));
      const times = rows.map((row) => row[0]);
      for (const chart of this.charts) {
        const data = [times, ...chart.series.map(({ column }) => rows.map((row) => row[places[column]]))];
        chart.show(data, this.asTable);
      }
      const newest = figures.seconds[figures.seconds.length - 1];
      if (newest) this.showTiles(asObject(newest));
    }

    showTiles(row) {
      // Texts alone change: a link that were made anew would lose the focus once a second.
      TILES.forEach(([, value], i) => {
        const text = value(row);
        if (this.values[i].textContent !== text) this.values[i].textContent = text;
      });
    }
  }

  rtmConsole.addFigures = add;
  rtmConsole.pages.overview = new Overview();
})();
