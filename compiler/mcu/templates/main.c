/* Runs {{ name }} once; replace the zeros by your sensor and read the output where it stops. */
#include "{{ name }}.h"

{% for t in inputs %}
static {{ t.dtype }}_t {{ t.role }}[{{ NAME }}_{{ t.macro }}_BYTES{% if t.dtype != "int8" %} / sizeof({{ t.dtype }}_t){% endif %}];
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
