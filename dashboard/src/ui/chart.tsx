// A bar chart of traffic over time, from the inline start to the end of the text's direction. Plain SVG: it follows
// theme, direction and print, and has a table for screen readers.

import { useLayoutEffect, useRef, useState } from 'react';
import { useI18n } from '../i18n/index.tsx';
import type { Bar } from './series.ts';

const HEIGHT = 132;
const FOOT = 22;

/** The next power of two above the largest value: its half is a round number of bytes too. */
function top(bars: Bar[]): number {
  const most = Math.max(...bars.map((bar) => bar.bytes), 1);
  const step = 2 ** Math.floor(Math.log2(most));
  return most <= step ? step : most <= step * 1.5 ? step * 1.5 : step * 2;
}

/** Bars; before those of `behind`, where they are a part of something, at the same moments. */
export function TrafficChart({ bars, behind, label, byHour = false }: { bars: Bar[]; behind?: Bar[]; label: string; byHour?: boolean }) {
  const { f, rtl, t } = useI18n();
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(600);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setWidth(Math.max(200, element.clientWidth)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const empty = (behind ?? bars).every((bar) => bar.bytes === 0);
  const limit = top(behind ?? bars);
  const tallOf = (bytes: number) => Math.max(bytes > 0 ? 2 : 0, (bytes / limit) * (HEIGHT - 16));
  const step = width / Math.max(1, bars.length);
  const gap = step > 8 ? 3 : step > 3 ? 1 : 0;
  const name = (bar: Bar) => (byHour ? f.exact(bar.at) : f.date(bar.at));
  const place = (x: number, wide: number) => (rtl ? width - x - wide : x);
  const marks = Math.max(1, Math.ceil(bars.length / Math.max(2, Math.floor(width / 110))));
  return (
    <div ref={box}>
      <svg className="chart" viewBox={`0 0 ${width} ${HEIGHT + FOOT}`} height={HEIGHT + FOOT} role="img" aria-label={label}>
        {empty && <text x={width / 2} y={HEIGHT / 2} textAnchor="middle" direction={rtl ? 'rtl' : 'ltr'}>{t('traffic.none')}</text>}
        {!empty && [0.5, 1].map((part) => {
          const y = HEIGHT - part * (HEIGHT - 16);
          return (
            <g key={part}>
              <line x1="0" x2={width} y1={y} y2={y} />
              <text x={rtl ? width : 0} y={y - 4} textAnchor="start" direction={rtl ? 'rtl' : 'ltr'}>{f.bytes(limit * part)}</text>
            </g>
          );
        })}
        <line x1="0" x2={width} y1={HEIGHT + 0.5} y2={HEIGHT + 0.5} />
        {bars.map((bar, index) => {
          const tall = tallOf(bar.bytes);
          const whole = tallOf(behind?.[index]?.bytes ?? 0);
          const x = place(index * step, step);
          return (
            <g key={bar.at.getTime()}>
              <title>{`${name(bar)}: ${f.bytes(bar.bytes)}`}</title>
              <rect className="hit" x={x} y="0" width={step} height={HEIGHT} />
              {whole > 0 && <rect className="behind" x={x + gap / 2} y={HEIGHT - whole} width={Math.max(0.5, step - gap)} height={whole} rx={step > 10 ? 2 : 0} />}
              <rect className="bar" x={x + gap / 2} y={HEIGHT - tall} width={Math.max(0.5, step - gap)} height={tall} rx={step > 10 ? 2 : 0} />
            </g>
          );
        })}
        {bars.map((bar, index) =>
          index % marks === 0 && index + marks / 2 <= bars.length ? (
            <text key={bar.at.getTime()} x={rtl ? width - index * step : index * step} y={HEIGHT + 17} textAnchor="start" direction={rtl ? 'rtl' : 'ltr'}>
              {byHour ? f.hour(bar.at) : f.date(bar.at)}
            </text>
          ) : null,
        )}
      </svg>
      <table className="hidden">
        <caption>{label}</caption>
        <thead><tr><th scope="col">{t('time')}</th><th scope="col">{t('traffic')}</th></tr></thead>
        <tbody>
          {bars.filter((bar) => bar.bytes > 0).map((bar) => (
            <tr key={bar.at.getTime()}><td>{name(bar)}</td><td>{f.bytes(bar.bytes)}</td></tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
