/** The client that users import. It knows the HTTP interface and nothing of the server's code. */

export {
  type ClientKey,
  type ClientOptions,
  type KeyPart,
  type LookupRequestOptions,
  type LookupResult,
  PointlakeClient,
  type RequestOptions,
  type Row,
  type RowOptions,
  type TableDescription,
  type TableSummary,
} from './client.ts';
export { type ErrorFields, PointlakeError } from './error.ts';
export type { Int64Form } from './json.ts';
