/** All peers in process. */

import { peers as converted } from './converted-peers.ts';
import { peers as onParquet } from './parquet-peers.ts';
import type { Peer } from './peer.ts';
import { peers as pointlake } from './pointlake-peers.ts';

export const PEERS: readonly Peer[] = [...pointlake, ...onParquet, ...converted];
