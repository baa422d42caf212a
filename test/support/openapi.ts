import { Ajv, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Response } from 'supertest';

/** The parts of a document that the tests read. */
export interface Document {
  openapi: string;
  info: object;
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, object>; securitySchemes?: Record<string, object> };
  tags?: { name: string }[];
  security?: object[];
}

export interface Operation {
  operationId: string;
  tags?: string[];
  security?: object[];
  parameters?: { name: string; in: string; required?: boolean; schema?: object }[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, Answer>;
}

interface Answer {
  description: string;
  headers?: Record<string, { required?: boolean; schema: object }>;
  content?: Record<string, { schema: object }>;
}

/** A document as `@nestjs/swagger` makes one of an application without decorators of its own: `operations` by path. */
export function emptyDocument(openapi = '3.0.0', paths: Document['paths'] = {}): Document {
  return { openapi, info: { title: 'Notes', version: '1' }, paths, components: {} };
}

export function operationsOf({ paths }: Document): { path: string; method: string; operation: Operation }[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  );
}

/** The names of the fields of its body. */
export function bodyFieldsOf(document: Document, { requestBody }: Operation): string[] {
  const fields = (schema: Part): string[] => {
    const target = schema.$ref === undefined ? schema : document.components!.schemas![schema.$ref.split('/').at(-1)!]!;
    const { properties = {}, anyOf = [], oneOf = [], allOf = [] } = target as Part;
    return [...Object.keys(properties), ...[...anyOf, ...oneOf, ...allOf].flatMap(fields)];
  };
  return [...new Set(Object.values(requestBody?.content ?? {}).flatMap(({ schema }) => fields(schema)))];
}

interface Part {
  $ref?: string;
  properties?: object;
  anyOf?: Part[];
  oneOf?: Part[];
  allOf?: Part[];
}

/** Every `$ref` in it that leads nowhere. */
export function danglingRefs(document: object): string[] {
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref!);
  return refs.filter((ref) => {
    let target: unknown = document;
    for (const part of ref.replace(/^#\//, '').split('/')) target = (target as Record<string, unknown>)?.[part];
    return target === undefined;
  });
}

/** The headers that this module knows; others are the adapter's. */
const OUR_HEADERS = [
  'Cache-Control',
  'Clear-Site-Data',
  'HX-Redirect',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'Set-Cookie',
  'WWW-Authenticate',
  'X-Auth-Cookie-Set',
];

/** Compares real answers with a document, and keeps which of its answers have been seen. */
export class AnswerChecker {
  private readonly seen = new Set<string>();
  private readonly ajv: Ajv | Ajv2020;

  constructor(private readonly document: Document) {
    this.ajv = new (document.openapi.startsWith('3.0') ? Ajv : Ajv2020)({ strict: false, allErrors: true });
    this.ajv.addFormat('date-time', (text: string) => text === new Date(text).toISOString());
    // An answer may gain fields, but not before the document does.
    this.ajv.addSchema(closed(document) as object, 'document');
  }

  /** What in this answer the document does not say; empty if it is all there. */
  mistakes(method: string, path: string, body: unknown, answer: Response): string[] {
    const operation = this.operationAt(method, path);
    const documented = operation.responses[answer.status];
    const code = (answer.body as { code?: string }).code;
    const name = [operation.operationId, answer.status, code].filter((part) => part !== undefined).join(' ');
    if (!documented) return [`${name}: no such status`];
    this.seen.add(name);
    const mistakes = this.headerMistakes(documented, answer);
    if (documented.content) mistakes.push(...this.bodyMistakes(documented.content, answer.body));
    const parsed = operation.requestBody && this.bodyMistakes(operation.requestBody.content, body).length === 0;
    if (answer.status === 200 && parsed === false) mistakes.push('a body that is not as documented was taken');
    return mistakes.map((mistake) => `${name}: ${mistake}`);
  }

  /** The answers of the document that no request has had yet: operation, status and code. */
  missing(): string[] {
    return operationsOf(this.document)
      .flatMap(({ operation }) =>
        Object.entries(operation.responses).flatMap(([status, { content }]) =>
          this.codesIn(content).map((code) => [operation.operationId, status, ...code].join(' ')),
        ),
      )
      .filter((name) => !this.seen.has(name));
  }

  private operationAt(method: string, path: string): Operation {
    const pathname = path.split('?')[0]!;
    const found = operationsOf(this.document).filter(
      (one) => one.method === method && new RegExp(`^${one.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(pathname),
    );
    if (found.length !== 1) throw new Error(`${found.length} operations in the document for ${method} ${path}`);
    return found[0]!.operation;
  }

  private headerMistakes({ headers = {} }: Answer, answer: Response): string[] {
    const mistakes: string[] = [];
    for (const name of OUR_HEADERS) {
      const value = answer.headers[name.toLowerCase()] as string | string[] | undefined;
      const documented = headers[name];
      if (value !== undefined && !documented) mistakes.push(`has ${name}`);
      if (value === undefined && documented?.required) mistakes.push(`has no ${name}`);
      if (value === undefined || !documented) continue;
      const isNumber = (documented.schema as { type: string }).type === 'integer';
      const written = isNumber ? Number(value) : String(value);
      if (!this.ajv.validate(documented.schema, written)) mistakes.push(`${name} is ${String(value)}`);
    }
    return mistakes;
  }

  private bodyMistakes(content: NonNullable<Answer['content']>, body: unknown): string[] {
    const validate = this.compile(content['application/json']!.schema);
    if (validate(body)) return [];
    return validate.errors!.map(({ instancePath, message }) => `body${instancePath} ${message}`);
  }

  private compile(schema: object): ValidateFunction {
    return this.ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as object);
  }

  /** The codes of an answer, each in a list; one without any has an empty list. */
  private codesIn(content: Answer['content']): string[][] {
    const ref = (content?.['application/json']!.schema as { $ref: string } | undefined)?.$ref;
    if (ref === undefined) return [[]];
    const schema = this.document.components!.schemas![ref.split('/').at(-1)!] as Schema;
    const codes = schema.properties?.['code']?.enum;
    return codes ? codes.map((code) => [code]) : [[]];
  }
}

interface Schema {
  properties?: Record<string, { enum?: string[] }>;
}

function closed(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(closed);
  if (typeof part !== 'object' || part === null) return part;
  const parts = Object.fromEntries(Object.entries(part).map(([key, value]) => [key, closed(value)]));
  return parts['type'] === 'object' && parts['properties'] ? { additionalProperties: false, ...parts } : parts;
}
