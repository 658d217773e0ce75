import { featureFitSchema, requireFormat, TributaryError, type FeatureFit } from '@tributary/proto';
import { z } from 'zod';

/** What a site learnt for itself of the features of one job. */
export interface SiteFit {
  readonly jobId: string;
  readonly fit: FeatureFit;
}

/** What the training agent of a site learnt, for the replicas of the same site. It never leaves the site. */
export interface SiteFits {
  readonly site: string;
  readonly fits: readonly SiteFit[];
}

const FORMAT_VERSION = 1;

const schema = z.strictObject({
  formatVersion: z.literal(FORMAT_VERSION),
  kind: z.literal('SiteFits'),
  site: z.string(),
  fits: z.array(z.strictObject({ jobId: z.string().max(64), fit: featureFitSchema })).max(10_000),
});

/** The text of a file that holds them: one JSON object. */
export const encodeSiteFits = ({ site, fits }: SiteFits): string =>
  `${JSON.stringify({ formatVersion: FORMAT_VERSION, kind: 'SiteFits', site, fits })}\n`;

/** Reads such a text. Throws FORMAT_UNSUPPORTED for a newer one, CONFIG_INVALID for what is none; `what` names it. */
export function decodeSiteFits(text: string, what: string): SiteFits {
  const value = parseJson(text);
  if (typeof value === 'object' && value !== null && 'formatVersion' in value)
    requireFormat(value.formatVersion, what, FORMAT_VERSION);
  const parsed = schema.safeParse(value);
  if (parsed.success) return { site: parsed.data.site, fits: parsed.data.fits };
  throw new TributaryError('CONFIG_INVALID', `${what} does not hold the fits of a site`, {
    hint: 'Write it anew on the training agent: tributary-agent fits export --to FILE',
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
