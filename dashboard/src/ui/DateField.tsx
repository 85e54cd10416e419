// A day and time in the reader's calendar, typed or picked.

import { fromDate, getLocalTimeZone } from '@internationalized/date';
import { Button } from 'react-aria-components/Button';
import { Calendar, CalendarCell, CalendarGrid, CalendarGridBody, CalendarGridHeader, CalendarHeaderCell } from 'react-aria-components/Calendar';
import { DateInput, DateSegment } from 'react-aria-components/DateField';
import { DatePicker } from 'react-aria-components/DatePicker';
import { Dialog } from 'react-aria-components/Dialog';
import { Group } from 'react-aria-components/Group';
import { Heading } from 'react-aria-components/Heading';
import { Popover } from 'react-aria-components/Popover';
import { Icon } from './icons.tsx';

export function DateField({ label, value, onChange }: { label: string; value: Date | null; onChange: (value: Date | null) => void }) {
  return (
    <DatePicker
      aria-label={label}
      granularity="minute"
      hideTimeZone
      hourCycle={24}
      shouldForceLeadingZeros
      value={value === null ? null : fromDate(value, getLocalTimeZone())}
      onChange={(next) => onChange(next === null ? null : next.toDate())}
    >
      <Group className="dateinput">
        <DateInput className="segs">{(segment) => <DateSegment segment={segment} />}</DateInput>
        <Button className="button quiet square"><Icon name="calendar" /></Button>
      </Group>
      <Popover className="popover">
        <Dialog style={{ outline: 'none' }}>
          <Calendar className="calendar">
            <header>
              <Button slot="previous" className="button quiet square"><Icon name="back" /></Button>
              <Heading level={2} />
              <Button slot="next" className="button quiet square"><Icon name="next" /></Button>
            </header>
            <CalendarGrid>
              <CalendarGridHeader>{(day) => <CalendarHeaderCell>{day}</CalendarHeaderCell>}</CalendarGridHeader>
              <CalendarGridBody>{(date) => <CalendarCell date={date} />}</CalendarGridBody>
            </CalendarGrid>
          </Calendar>
        </Dialog>
      </Popover>
    </DatePicker>
  );
}
