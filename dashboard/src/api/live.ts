// Whether the panel announces the changes of all hosts to this page, and how often screens poll therefore.

let announced = false;

export const live = {
  /** Sets it; returns what it was. */
  set(now: boolean): boolean {
    const was = announced;
    announced = now;
    return was;
  },
};

/** Milliseconds between two reads of what the panel announces. */
export function announcedInterval(): number {
  return announced ? 60_000 : 5_000;
}
