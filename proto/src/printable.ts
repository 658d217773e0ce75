/** Control characters, those that part lines, and those that turn the direction of text (UAX #9). */
const STEERING = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** Text of somebody else as a terminal may show it: a blank in place of whatever would steer it, or pass for other text. */
export const printable = (text: string): string => text.replace(STEERING, ' ');
