import { isMoment } from './moment.ts'

/** The formats that what is asked for may have, each read as strictly as it is used afterwards. */
export const formats: ReadonlyMap<string, (text: string) => boolean> = new Map([
  ['uuid', (text: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)],
  ['date-time', isMoment],
])
