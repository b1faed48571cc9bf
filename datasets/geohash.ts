/** Geohash: longitude and latitude halved in turn, five bits a letter (https://en.wikipedia.org/wiki/Geohash). */

const alphabet = '0123456789bcdefghjkmnpqrstuvwxyz';
const bitsPerLetter = 5;

export function geohash(latitude: number, longitude: number, letters: number): string {
  const bounds = { longitude: [-180, 180] as [number, number], latitude: [-90, 90] as [number, number] };
  let text = '';
  let code = 0;
  for (let bit = 0; bit < letters * bitsPerLetter; bit++) {
    const even = bit % 2 === 0;
    code = code * 2 + upperHalf(even ? bounds.longitude : bounds.latitude, even ? longitude : latitude);
    if ((bit + 1) % bitsPerLetter === 0) {
      text += alphabet.charAt(code);
      code = 0;
    }
  }
  return text;
}

/** 1 where the value lies in the upper half of the bounds, else 0; the bounds become that half. */
function upperHalf(bounds: [number, number], value: number): 0 | 1 {
  const middle = (bounds[0] + bounds[1]) / 2;
  const upper = value >= middle;
  bounds[upper ? 0 : 1] = middle;
  return upper ? 1 : 0;
}
