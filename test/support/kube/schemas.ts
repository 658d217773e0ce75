import type { Manifest } from './charts.js';
import { CUSTOM_KINDS } from './custom-kinds.js';

interface ModelClass {
  new (data: object): { validate(): void };
}

/** What the OpenAPI schema of the API has against a manifest; undefined where nothing. Kinds of other projects pass. */
export async function schemaFault(manifest: Manifest): Promise<string | undefined> {
  const { apiVersion, kind } = manifest;
  if (CUSTOM_KINDS.has(`${apiVersion}/${kind}`)) return undefined;
  const module = (await import(`kubernetes-models/${apiVersion}/${kind}`)) as Readonly<
    Record<string, ModelClass>
  >;
  const Model = module[kind];
  if (Model === undefined) return `${apiVersion} ${kind}: no schema`;
  try {
    new Model(manifest).validate();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
