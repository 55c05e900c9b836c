/*
 * mysql_binlog_checksum.c
 *		CRC-32 of events, as in zlib.
 *
 * Events are small and each has one, so it is a good part of what reading them
 * takes.  Where the processor multiplies polynomials, 16 bytes are folded at a
 * time: "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ
 * Instruction" by V. Gopal and others (Intel, 2009), bits reflected.
 */
#include "postgres.h"

#ifdef FEATHUB_WITH_ZLIB
#include <zlib.h>
#endif
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define USE_FOLDING
#endif

#include "utils/pg_crc.h"

#include "connectors/mysql/mysql_binlog_reader.h"

/* Go on with a checksum, any length. */
static uint32
checksum_bytes(uint32 crc, const uint8 *data, Size len)
{
#ifdef FEATHUB_WITH_ZLIB
	return crc32(crc, data, len);
#else
	crc ^= 0xffffffff;
	COMP_TRADITIONAL_CRC32(crc, data, len);
	return crc ^ 0xffffffff;
#endif
}

#ifdef USE_FOLDING

#define FOLD_BYTES	16
#define FOLD_LANES	4

/* What 16 bytes become that are moved on by the distance that "by" stands for. */
__attribute__((target("pclmul,sse4.1")))
static inline __m128i
fold(__m128i bytes, __m128i by)
{
	return _mm_xor_si128(_mm_clmulepi64_si128(bytes, by, 0x00),
						 _mm_clmulepi64_si128(bytes, by, 0x11));
}

/* The checksum of a multiple of 16 bytes, at least 64. */
__attribute__((target("pclmul,sse4.1")))
static uint32
checksum_folded(uint32 crc, const uint8 *data, Size len)
{
	/* powers of x modulo the polynomial, and it with its inverse */
	const __m128i by_four = _mm_set_epi64x(INT64CONST(0x1c6e41596), INT64CONST(0x154442bd4));
	const __m128i by_one = _mm_set_epi64x(INT64CONST(0x0ccaa009e), INT64CONST(0x1751997d0));
	const __m128i to_64 = _mm_set_epi64x(0, INT64CONST(0x163cd6124));
	const __m128i polynomial = _mm_set_epi64x(INT64CONST(0x1f7011641), INT64CONST(0x1db710641));
	const __m128i low_words = _mm_setr_epi32(~0, 0, ~0, 0);
	const __m128i *p = (const __m128i *) data;
	__m128i		lanes[FOLD_LANES];
	__m128i		x;

	for (int i = 0; i < FOLD_LANES; i++)
		lanes[i] = _mm_loadu_si128(p++);
	lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(crc ^ 0xffffffff));
	len -= FOLD_LANES * FOLD_BYTES;
	for (; len >= FOLD_LANES * FOLD_BYTES; len -= FOLD_LANES * FOLD_BYTES)
		for (int i = 0; i < FOLD_LANES; i++)
			lanes[i] = _mm_xor_si128(fold(lanes[i], by_four), _mm_loadu_si128(p++));
	x = lanes[0];
	for (int i = 1; i < FOLD_LANES; i++)
		x = _mm_xor_si128(fold(x, by_one), lanes[i]);
	for (; len >= FOLD_BYTES; len -= FOLD_BYTES)
		x = _mm_xor_si128(fold(x, by_one), _mm_loadu_si128(p++));

	/* 128 bits to 64, and these to 32 by Barrett's reduction */
	x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, by_one, 0x10));
	x = _mm_xor_si128(_mm_srli_si128(x, 4),
					  _mm_clmulepi64_si128(_mm_and_si128(x, low_words), to_64, 0x00));
	x = _mm_xor_si128(x, _mm_clmulepi64_si128(_mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(x, low_words),
																				 polynomial, 0x10),
															low_words),
											  polynomial, 0x00));
	return _mm_extract_epi32(x, 1) ^ 0xffffffff;
}

static bool
can_fold(void)
{
	static int	known = -1;

	if (known < 0)
		known = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
	return known;
}

#endif							/* USE_FOLDING */

uint32
FeathubMysqlBinlogChecksum(uint32 crc, const uint8 *data, Size len)
{
#ifdef USE_FOLDING
	Size		folded = len & ~(Size) (FOLD_BYTES - 1);

	if (folded >= FOLD_LANES * FOLD_BYTES && can_fold())
	{
		crc = checksum_folded(crc, data, folded);
		data += folded;
		len -= folded;
	}
#endif
	return len > 0 ? checksum_bytes(crc, data, len) : crc;
}
