#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Remainders with the sign of the divisor; 0 for the divisor 0. */
static inline int64_t mod_int(int64_t a, int64_t b) {
  int64_t rest = b == 0 || b == -1 ? 0 : a % b;
  return rest != 0 && (rest ^ b) < 0 ? rest + b : rest;
}
static inline float mod_float(float a, float b) {
  float rest = fmodf(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
static inline double mod_double(double a, double b) {
  double rest = fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* Multiply-adds are fused where that is as fast as a multiplication. */
#ifdef FP_FAST_FMAF
static inline float mul_add_float(float a, float b, float c) { return fmaf(a, b, c); }
#else
static inline float mul_add_float(float a, float b, float c) { return a * b + c; }
#endif
#ifdef FP_FAST_FMA
static inline double mul_add_double(double a, double b, double c) { return fma(a, b, c); }
#else
static inline double mul_add_double(double a, double b, double c) { return a * b + c; }
#endif

static inline int32_t dot4(uint32_t a, uint32_t b, int32_t total) {
  for (int byte = 0; byte < 32; byte += 8) total += (int32_t)(a >> byte & 255) * (int8_t)(b >> byte);
  return total;
}

/* Casts that saturate; NaN gives 0. */
#define SATURATING(type, lowest, beyond) \
  static inline type to_##type(double x) { return x != x ? 0 : x < lowest ? (type)lowest : x >= beyond ? (type)-1 ^ (type)lowest : (type)x; }
SATURATING(int8_t, -0x1p7, 0x1p7)
SATURATING(int16_t, -0x1p15, 0x1p15)
SATURATING(int32_t, -0x1p31, 0x1p31)
SATURATING(int64_t, -0x1p63, 0x1p63)
SATURATING(uint8_t, 0.0, 0x1p8)
SATURATING(uint16_t, 0.0, 0x1p16)
SATURATING(uint32_t, 0.0, 0x1p32)
SATURATING(uint64_t, 0.0, 0x1p64)

static inline uint32_t float_bits(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }
static inline float bits_float(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }

/* binary16: exponent and mantissa move into place, and a power of two makes the exponent right. */
static inline float f16_value(uint16_t half) {
  uint32_t magnitude = half & 0x7fff, sign = (uint32_t)(half & 0x8000) << 16, shifted = magnitude << 13;
  uint32_t finite = float_bits(bits_float(shifted) * 0x1p112f), special = shifted | 0x7f800000;
  return bits_float((magnitude < 0x7c00 ? finite : special) | sign);
}
/* Rounds to nearest, ties to even; adding 0.5 shifts small numbers to where binary16 ends. */
static inline uint16_t f16_bits(float x) {
  uint32_t bits = float_bits(x), magnitude = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
  uint32_t small = float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000;
  uint32_t normal = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  uint32_t finite = magnitude < 113u << 23 ? small : normal < 0x7c00 ? normal : 0x7c00;
  return sign | (magnitude > 0x7f800000 ? 0x7e00 : finite);
}
static inline float round_f16(float x) { return f16_value(f16_bits(x)); }

/* bfloat16: the upper half of a float. */
static inline float bf16_value(uint16_t half) { return bits_float((uint32_t)half << 16); }
static inline uint16_t bf16_bits(float x) {
  uint32_t bits = float_bits(x);
  return x != x ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
static inline float round_bf16(float x) { return bf16_value(bf16_bits(x)); }
