/** A line of the checklist. With a reason, it is a deviation. */
export type Row = readonly [id: string, source: string, topic: string, value: string, reason?: string | false];
