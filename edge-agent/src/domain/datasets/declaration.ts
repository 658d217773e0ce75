/** Files of a source: one, or all that match a pattern, in the order of their names. Paths are absolute. */
export interface SourceFiles {
  /** Table name in the site's SQL. */
  readonly name: string;
  readonly path?: string;
  /** `*` and `?` in the last part of the path. */
  readonly glob?: string;
}

/** CSV (RFC 4180) with a line of column names; cells are text. */
export interface CsvSource extends SourceFiles {
  readonly format: 'Csv';
  readonly delimiter: string;
  readonly quote: string;
  readonly encoding: 'Utf8' | 'Latin1';
}

/** Formats with types of their own. Json: an array of objects, or objects one after another; NdJson: one a line. */
export interface TypedSource extends SourceFiles {
  readonly format: 'Parquet' | 'Json' | 'NdJson';
}

/** A path into a FHIR resource, as a column of text. */
export interface ResourceColumn {
  readonly name: string;
  /** JSON path, such as $.address[0].city. */
  readonly path: string;
}

/**
 * FHIR bulk export: one resource a line. Columns: those given, as text; without any, `id`, `resource_type` and
 * `resource`, the JSON that the site's SQL takes apart.
 */
export interface FhirSource extends SourceFiles {
  readonly format: 'FhirNdJson';
  /** Only resources of this type. */
  readonly resourceType?: string;
  readonly columns?: readonly ResourceColumn[];
}

export type SourceDeclaration = CsvSource | TypedSource | FhirSource;

/** A dataset as agent.yaml declares it. */
export interface DatasetDeclaration {
  readonly name: string;
  readonly sources: readonly SourceDeclaration[];
  /** The site's own SELECT over the sources; without it, the one source as it is. */
  readonly view?: string;
  /** Column whose equal values are kept on one side of the split: a patient. */
  readonly key?: string;
}
