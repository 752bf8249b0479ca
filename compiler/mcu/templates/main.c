/* Runs {{ name }} once; replace the zeros by your sensor and read the output where it stops. */
#include "{{ name }}.h"

{% for t in inputs %}
static int8_t {{ t.role }}[{{ NAME }}_{{ t.macro }}_BYTES];
{% endfor %}
{% for t in outputs %}
{{ t.dtype }}_t {{ t.role }}[{{ NAME }}_{{ t.macro }}_BYTES / sizeof({{ t.dtype }}_t)];
{% endfor %}

int main(void)
{
    {{ name }}_invoke({{ arguments }});
    for (;;) {
    }
}
