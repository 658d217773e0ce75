/** Regions of the United States Census Bureau: the branches of the demo. */
export const REGIONS = ['northeast', 'midwest', 'south', 'west'] as const;

export type Region = (typeof REGIONS)[number];

const STATES: Readonly<Record<Region, string>> = {
  northeast: 'CT ME MA NH RI VT NJ NY PA',
  midwest: 'IL IN MI OH WI IA KS MN MO NE ND SD',
  south: 'DE DC FL GA MD NC SC VA WV AL KY MS TN AR LA OK TX',
  west: 'AZ CO ID MT NV NM UT WY AK CA HI OR WA',
};

const REGION_OF = new Map(
  REGIONS.flatMap((region) => STATES[region].split(' ').map((state) => [state, region] as const)),
);

/** The loans of each region as CSV text with the header, rows in the order of `csv`, which quotes no cell. */
export function splitByRegion(csv: string): Readonly<Record<Region, string>> {
  const [header = '', ...rows] = csv.split(/\r?\n/).filter((line) => line !== '');
  const column = header.split(',').indexOf('addr_state');
  const lines: Record<Region, string[]> = {
    northeast: [header],
    midwest: [header],
    south: [header],
    west: [header],
  };
  for (const row of rows) {
    const state = row.split(',')[column] ?? '';
    const region = REGION_OF.get(state);
    if (region === undefined) throw new Error(`no region holds the state ${JSON.stringify(state)}`);
    lines[region].push(row);
  }
  return {
    northeast: asText(lines.northeast),
    midwest: asText(lines.midwest),
    south: asText(lines.south),
    west: asText(lines.west),
  };
}

const asText = (lines: readonly string[]): string => `${lines.join('\n')}\n`;
