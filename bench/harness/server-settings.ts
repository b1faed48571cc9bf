/** What a server that is started as a command takes by itself, for benches that start Node in another way. */

interface MemorySettings {
  readonly environment: Readonly<Record<string, string>>;
  readonly v8: Readonly<Record<string, string>>;
}

const module = new URL('../../bin/memory-settings.js', import.meta.url);
const settings = (await import(module.href)) as MemorySettings;

export const SERVER_ENVIRONMENT: Readonly<Record<string, string>> = settings.environment;
/** Of Node. */
export const SERVER_FLAGS: readonly string[] = Object.values(settings.v8);
