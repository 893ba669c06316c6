/*
 * Figures over time. Drawn by uPlot where it is installed; without it, and for whoever prefers them, as tables.
 * MIT License.
 */
(function () {
  'use strict';

  const { rtmConsole, document } = self;
  const { h, fill } = rtmConsole;
  const HEIGHT = 150;
  const TABLE_ROWS = 12;

  /** Loads the library once; resolves to whether it is there. */
  function load(hasCharts) {
    if (!hasCharts || self.uPlot) return Promise.resolve(Boolean(self.uPlot));
    const style = h('link', { rel: 'stylesheet', href: '/console/charts/uPlot.min.css' });
    const script = h('script', { src: '/console/charts/uPlot.iife.min.js' });
    const done = new Promise((resolve) => {
      script.onload = () => resolve(Boolean(self.uPlot));
      script.onerror = () => resolve(false);
    });
    document.head.append(style, script);
    return done;
  }

  function color(variable) {
    return self.getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
  }

  /** One chart: `series` names columns of the figures, `format` writes a value for people. */
  class Chart {
    constructor({ title, series, format }) {
      this.title = title;
      this.series = series;
      this.format = format;
      this.reading = h('span', { class: 'reading' });
      this.place = h('div', { class: 'plot' });
      this.element = h('figure', { class: 'card chart' },
        h('figcaption', null, h('span', { class: 'title' }, title), this.reading), this.place);
      this._plot = null;
      this._data = null;
      this._asTable = false;
    }

    /** @param data one array of seconds since 1970, and one for each series */
    show(data, asTable) {
      this._data = data;
      if (asTable !== this._asTable) this.drop();
      this._asTable = asTable;
      if (asTable || !self.uPlot) this._showTable();
      else if (this._plot) this._plot.setData(data);
      else this._draw();
      this._read(data[0].length - 1);
    }

    drop() {
      if (this._plot) this._plot.destroy();
      this._plot = null;
      fill(this.place);
    }

    resize() {
      if (this._plot) this._plot.setSize({ width: this.place.clientWidth, height: HEIGHT });
    }

    /** Writes the values at one place in words. */
    _read(index) {
      if (index < 0) return;
      const values = this.series.map(({ label }, i) => {
        const value = this.format(this._data[i + 1][index]);
        return label ? h('span', { class: `key key-${i}` }, `${label} `, h('b', null, value)) : h('b', null, value);
      });
      fill(this.reading, values);
      const words = this.series.map(({ label }, i) => `${label || ''} ${this.format(this._data[i + 1][index])}`.trim());
      this.place.setAttribute('role', this._plot ? 'img' : 'group');
      this.place.setAttribute('aria-label', `${this.title}: ${words.join(', ')}`);
    }

    _draw() {
      const axis = { stroke: color('--quiet'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false },
        font: '11px system-ui, sans-serif' };
      const hook = (plot) => {
        const { idx } = plot.cursor;
        this._read(idx === null || idx === undefined ? this._data[0].length - 1 : idx);
      };
      this._plot = new self.uPlot({
        width: this.place.clientWidth || 320,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
        scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.15 : 1] } },
        axes: [
          { ...axis, size: 28, space: 74, values: (_plot, ticks) => ticks.map(rtmConsole.time) },
          { ...axis, size: 62, values: (_plot, ticks) => ticks.map((tick) => this.format(tick)) },
        ],
        series: [{}, ...this.series.map((_one, i) => ({
          stroke: color(`--series-${i}`), width: 1.6, fill: i === 0 ? color('--series-fill') : undefined,
          points: { show: false },
        }))],
        hooks: { setCursor: [hook] },
      }, this._data, this.place);
    }

    _showTable() {
      const times = this._data[0];
      const rows = times.map((_at, i) => times.length - 1 - i).slice(0, TABLE_ROWS);
      const columns = [{ title: 'Time', cell: (i) => rtmConsole.time(times[i]) }].concat(
        this.series.map(({ label }, s) => (
          { title: label || 'Value', number: true, cell: (i) => this.format(this._data[s + 1][i]) })));
      fill(this.place, rtmConsole.table(this.title, columns, rows, 'No figures yet.'));
    }
  }

  rtmConsole.loadCharts = load;
  rtmConsole.Chart = Chart;
})();
