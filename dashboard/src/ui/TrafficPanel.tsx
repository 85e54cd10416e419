// Traffic of the fleet, a node or a user: the last day by hour, or the last month by day.

import { type QueryKey, type UseQueryOptions, useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { useI18n } from '../i18n/index.tsx';
import { Loaded, Panel, Segments, useNow } from './basics.tsx';
import { TrafficChart } from './chart.tsx';
import { type Range, type Usages, days, hours, startOf } from './series.ts';

/** The start of a range; the same for an hour or a day, so that answers are shared. */
export function useStart(range: Range): string {
  return startOf(range, useNow().getTime());
}

export function TrafficPanel<T, K extends QueryKey>(props: {
  /** Unlike others on the same screen. */
  name: string;
  query: (start: string) => UseQueryOptions<T, Error, T, K>;
  series: (data: T) => Usages & { total: number };
  /** What the series is a part of, if it is one. */
  behind?: (data: T) => Usages | undefined;
  /** More about the same traffic. */
  below?: (data: T, start: string) => ReactNode;
}) {
  const { t, f } = useI18n();
  const [range, setRange] = useState<Range>('30d');
  const start = useStart(range);
  const read = useQuery(props.query(start));
  return (
    <Panel
      title={t('traffic')}
      aside={<Segments name={`${props.name}-range`} label={t('range')} value={range} onChange={setRange} choices={[['24h', t('range.day')], ['30d', t('range.month')]]} />}
    >
      <Loaded of={read}>
        {(data) => {
          const series = props.series(data);
          const behind = props.behind?.(data);
          const bars = range === '24h' ? hours : days;
          return (
            <>
              <p className="soft" style={{ marginBlockEnd: 12 }}>{t('total')}: {f.bytes(series.total)}</p>
              <TrafficChart bars={bars(series)} behind={behind && bars(behind)} byHour={range === '24h'} label={t('traffic')} />
              {props.below?.(data, start)}
            </>
          );
        }}
      </Loaded>
    </Panel>
  );
}
