/* SPDX-License-Identifier: Apache-2.0 */
/* Dates in headers and documents, as seconds since 1970; 0: not one. */
#ifndef LITHOPS_NET_DATE_H
#define LITHOPS_NET_DATE_H

#include <time.h>

enum { LITHOPS__HTTP_DATE = 40 }; /* bytes of one, with its NUL */

/* "Wed, 21 Oct 2015 07:28:00 GMT" */
double lithops__http_date(const char *text);
/* The same, written. */
void lithops__http_date_write(time_t when, char ret_date[LITHOPS__HTTP_DATE]);
/* "2015-10-21T07:28:00.000Z" */
double lithops__iso_date(const char *text);

#endif
